/** How much of the cryptography's speed does the key server reach? In one run with `openssl speed`, on the same core. */
import { Asker } from '../asker.ts';
import { ms, perSecond, spread, times } from '../figures-in-words.ts';
import { opensslSpeed } from '../openssl-speed.ts';
import type { Answer, Question } from '../question.ts';
import { interleave } from '../rounds.ts';
import type { Scale } from '../scale.ts';
import type { Site } from '../sites.ts';
import { median, percentile } from '../statistics.ts';
import type { Workshop } from '../workshop.ts';

interface Result {
  readonly site: Site;
  /** For each second of the key server's CPU. */
  readonly perCpuSecond: readonly number[];
  /** Signatures a second; empty: there is no `openssl` command. */
  readonly openssl: readonly number[];
  /** Milliseconds of one request at a time. */
  readonly medianMs: number;
  readonly p99Ms: number;
}

const SITES: readonly Site[] = ['RSA-2048', 'P-256'];
/** In the air at once. */
const WINDOW = 96;
const roundsOf = ({ quick }: Scale) => (quick ? 1 : 3);
const opensslSeconds = 1;
const pause = (length: number) => new Promise((resolve) => setTimeout(resolve, length));

function askerOf({ files, keyServer }: Workshop, site: Site, window: number): Promise<Asker> {
  const { edge, ca, certs } = files;
  return Asker.connect({ port: keyServer.port, ...edge, ca, site, siteCert: certs[site], window });
}

/** @returns answers for each second of CPU */
async function rate(workshop: Workshop, asker: Asker, length: number): Promise<number> {
  const cpu = () => workshop.keyServerCpuMs() ?? Number.NaN;
  asker.start();
  await pause(100);
  const [before, answered] = [cpu(), asker.answered];
  await pause(length);
  const perCpuSecond = ((asker.answered - answered) * 1000) / (cpu() - before);
  await asker.stop();
  return perCpuSecond;
}

async function alone(workshop: Workshop, site: Site): Promise<{ medianMs: number; p99Ms: number }> {
  const asker = await askerOf(workshop, site, 1);
  asker.start();
  await pause(workshop.scale.roundMs / 2);
  asker.latencies = [];
  await pause(workshop.scale.roundMs);
  await asker.stop();
  asker.close();
  return { medianMs: median(asker.latencies), p99Ms: percentile(asker.latencies, 0.99) };
}

async function measure(workshop: Workshop, site: Site): Promise<Result> {
  workshop.say(site);
  const { scale } = workshop;
  const asker = await askerOf(workshop, site, WINDOW);
  await rate(workshop, asker, scale.warmUpMs / 5);
  const contestants = {
    openssl: () => opensslSpeed(site, opensslSeconds, 'key server'),
    perCpuSecond: () => rate(workshop, asker, scale.roundMs),
  };
  const { openssl, perCpuSecond } = await interleave(contestants, roundsOf(scale));
  asker.close();
  const known = openssl.filter((value) => value !== undefined);
  return { site, perCpuSecond, openssl: known, ...(await alone(workshop, site)) };
}

function row({ site, perCpuSecond, openssl, medianMs, p99Ms }: Result): string[] {
  const signature = 1000 / median(openssl);
  return [
    site,
    spread(perCpuSecond, perSecond),
    spread(openssl, perSecond),
    times(median(perCpuSecond) / median(openssl)),
    ms(medianMs),
    ms(p99Ms),
    ms(medianMs - signature),
  ];
}

async function answer(workshop: Workshop): Promise<Answer> {
  const results: Result[] = [];
  for (const site of SITES) results.push(await measure(workshop, site));
  const columns = [
    ...['operations for a second of CPU', 'key server', 'openssl speed', 'ratio'],
    ...['one at a time, ms', 'p99', 'more than the signature'],
  ];
  const words = results.map(({ site, perCpuSecond, openssl }) => {
    const ratio = median(perCpuSecond) / median(openssl);
    const beside = openssl.length === 0 ? '' : `, ${times(ratio)} what openssl speed does on the same core`;
    return `${site}: the key server answers ${perSecond(median(perCpuSecond))} requests for each second of its CPU${beside}.`;
  });
  const plot = {
    kind: 'bars',
    title: 'Signatures for each second of a core',
    unit: '/s',
    groups: results.map(({ site, perCpuSecond, openssl }) => ({
      label: site,
      bars: [
        { label: 'openssl', parts: [{ name: 'openssl speed', value: median(openssl) }] },
        { label: 'server', parts: [{ name: 'key server', value: median(perCpuSecond) }] },
      ].filter(({ parts }) => parts.every(({ value }) => Number.isFinite(value))),
    })),
  } as const;
  return {
    words,
    tables: [{ columns, rows: results.map(row) }],
    plots: [plot],
    verdicts: [],
    warnings: [],
    raw: results,
  };
}

function seconds(scale: Scale): number {
  const round = 2 * opensslSeconds + 0.2 + scale.roundMs / 1000;
  return SITES.length * (roundsOf(scale) * round + scale.warmUpMs / 5000 + (scale.roundMs * 1.5) / 1000);
}

export const keyServer: Question = {
  name: 'key-server',
  title: 'The key server',
  asks: 'what the key server reaches of the speed of signatures alone',
  edges: [],
  seconds,
  answer,
};

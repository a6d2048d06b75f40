/** How much of the cryptography's speed does the key server reach? In one run with `openssl speed`, on the same core. */

import { KeylessError } from '../../../errors.ts';
import { Asker } from '../asker.ts';
import { type Doubts, disturbanceOf, withMore } from '../doubts.ts';
import { ms, perSecond, spread, times } from '../figures-in-words.ts';
import { otherOpenssl } from '../machine.ts';
import { opensslSpeed } from '../openssl-speed.ts';
import type { Answer, Question } from '../question.ts';
import { interleave } from '../rounds.ts';
import type { Scale } from '../scale.ts';
import type { Site } from '../sites.ts';
import { median, percentile, spreadOf } from '../statistics.ts';
import type { Waits } from '../waits.ts';
import type { Workshop } from '../workshop.ts';

interface Batch {
  /** For each second of the key server's CPU. */
  readonly perCpuSecond: number;
  readonly waits: Waits;
}

/** Milliseconds of one request at a time. */
interface Alone {
  readonly medianMs: number;
  readonly p99Ms: number;
  readonly waits: Waits;
}

interface Result {
  readonly site: Site;
  readonly batch: readonly Batch[];
  /** Signatures a second; empty: there is no `openssl` command. */
  readonly openssl: readonly number[];
  readonly alone: readonly Alone[];
}

const SITES: readonly Site[] = ['RSA-2048', 'P-256'];
/** In the air at once. */
const WINDOW = 96;
const roundsOf = ({ quick }: Scale) => (quick ? 1 : 5);
const opensslSeconds = 1;
/** The code of the first site is that of the others; with `--quick` the questions before have warmed the key server. */
const warmUpOf = ({ quick, warmUpMs }: Scale, site: Site) =>
  quick || site !== SITES[0] ? warmUpMs / 5 : warmUpMs;
const pause = (length: number) => new Promise((resolve) => setTimeout(resolve, length));

function askerOf({ files, keyServer }: Workshop, site: Site, window: number): Promise<Asker> {
  const { edge, ca, certs } = files;
  return Asker.connect({ port: keyServer.port, ...edge, ca, site, siteCert: certs[site], window });
}

/** @throws KeylessError ERR_KEYLESS_HANDSHAKE: answers that are refusals measure nothing */
function checkAnswers({ answered, failed }: Asker): void {
  if (failed === 0) return;
  const text = `${failed} of ${answered} requests of the benchmark were refused by the key server.`;
  throw new KeylessError('ERR_KEYLESS_HANDSHAKE', text);
}

/** Everything of what is on its way is answered before and afterwards. */
async function batchOf(workshop: Workshop, asker: Asker, length: number): Promise<Batch> {
  const cpu = () => workshop.keyServerCpuMs() ?? Number.NaN;
  asker.start();
  await pause(100);
  const [before, answered] = [cpu(), asker.answered];
  const [, waits] = await workshop.watched([], () => pause(length));
  const perCpuSecond = ((asker.answered - answered) * 1000) / (cpu() - before);
  await asker.stop();
  checkAnswers(asker);
  return { perCpuSecond, waits };
}

async function aloneOf(workshop: Workshop, asker: Asker, length: number): Promise<Alone> {
  asker.start();
  await pause(length / 4);
  asker.latencies = [];
  const [, waits] = await workshop.watched([], () => pause(length));
  await asker.stop();
  checkAnswers(asker);
  return { medianMs: median(asker.latencies), p99Ms: percentile(asker.latencies, 0.99), waits };
}

async function measure(workshop: Workshop, site: Site): Promise<Result> {
  workshop.say(site);
  const { scale } = workshop;
  const [many, one] = [await askerOf(workshop, site, WINDOW), await askerOf(workshop, site, 1)];
  try {
    await batchOf(workshop, many, warmUpOf(scale, site));
    const contestants = {
      openssl: () => opensslSpeed(workshop, site, opensslSeconds, 'key server'),
      batch: () => batchOf(workshop, many, scale.roundMs),
      alone: () => aloneOf(workshop, one, scale.roundMs),
    };
    const { openssl, ...own } = await interleave(contestants, roundsOf(scale));
    return { site, ...own, openssl: openssl.filter((value) => value !== undefined) };
  } finally {
    many.close();
    one.close();
  }
}

const ratesOf = ({ batch }: Result) => batch.map(({ perCpuSecond }) => perCpuSecond);

function row(result: Result): string[] {
  const { site, openssl, alone } = result;
  const [medians, p99s] = [alone.map(({ medianMs }) => medianMs), alone.map(({ p99Ms }) => p99Ms)];
  return [
    site,
    spread(ratesOf(result), perSecond),
    spread(openssl, perSecond),
    times(median(ratesOf(result)) / median(openssl)),
    spread(medians),
    spread(p99s),
    ms(median(medians) - 1000 / median(openssl)),
  ];
}

function doubts(results: readonly Result[]): Doubts {
  const groups = results.flatMap(({ site, batch, alone }) => [
    [`${site}, ${WINDOW} at once`, batch] as const,
    [`${site}, one at a time`, alone] as const,
  ]);
  const found = disturbanceOf(Object.fromEntries<readonly (Batch | Alone)[]>(groups));
  return withMore(found, ...doubtsOfOpenssl(results, otherOpenssl()));
}

/** @param other version of the `openssl` command, where it is not Node.js's */
export function doubtsOfOpenssl(results: readonly Pick<Result, 'openssl'>[], other?: string): string[] {
  if (results.some(({ openssl }) => openssl.length === 0))
    return ['There is no openssl command that measures: the speed of signatures alone is not known.'];
  if (other === undefined) return [];
  return [
    `openssl speed is of OpenSSL ${other}, the key server signs with Node.js's ${process.versions.openssl}: their ratio is also one of these versions.`,
  ];
}

const bar = (label: string, name: string, values: readonly number[]) => {
  const { median: value, least, most } = spreadOf(values);
  return { label, spread: [least, most] as const, parts: [{ name, value }] };
};

async function answer(workshop: Workshop): Promise<Answer> {
  const results: Result[] = [];
  for (const site of SITES) results.push(await measure(workshop, site));
  const columns = [
    ...['operations for a second of CPU', 'key server', 'openssl speed', 'ratio'],
    ...['one at a time, ms', 'p99', 'more than the signature'],
  ];
  const where = workshop.isPlaced ? 'on the same core' : 'on a core';
  const words = results.map(
    (result) =>
      `${result.site}: the key server answers ${perSecond(median(ratesOf(result)))} requests for each second of its CPU.`,
  );
  const conclusions = results
    .filter(({ openssl }) => openssl.length > 0)
    .map(
      (result) =>
        `${result.site}: that is ${times(median(ratesOf(result)) / median(result.openssl))} what openssl speed does ${where}.`,
    );
  const plot = {
    kind: 'bars',
    title: 'Signatures for each second of a core',
    unit: '/s',
    groups: results.map((result) => ({
      label: result.site,
      bars: [
        bar('openssl', 'openssl speed', result.openssl),
        bar('server', 'key server', ratesOf(result)),
      ].filter(({ parts }) => parts.every(({ value }) => Number.isFinite(value))),
    })),
  } as const;
  return {
    words,
    conclusions,
    tables: [{ columns, rows: results.map(row) }],
    plots: [plot],
    measured: [],
    ...doubts(results),
    raw: results,
  };
}

function seconds(scale: Scale): number {
  const round = 2 * opensslSeconds + 0.3 + (scale.roundMs * 2.25) / 1000;
  const warmUps = SITES.reduce((sum, site) => sum + warmUpOf(scale, site), 0);
  return SITES.length * roundsOf(scale) * round + warmUps / 1000;
}

export const keyServer: Question = {
  name: 'key-server',
  title: 'The key server',
  asks: 'what the key server reaches of the speed of signatures alone',
  edges: [],
  rounds: roundsOf,
  seconds,
  answer,
};

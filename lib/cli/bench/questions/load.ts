/**
 * How long does a handshake take, at how much load? Clients begin when they are due, in random gaps, and latency counts from
 * then: a queue shows.
 */
import type { ClientFigures } from '../client-plans.ts';
import { compare } from '../comparison.ts';
import { ms, number, perSecond, share } from '../figures-in-words.ts';
import type { Answer, LinePlot, Question, Table, Verdict } from '../question.ts';
import { interleave, medianOf } from '../rounds.ts';
import { CONCURRENT, type Scale } from '../scale.ts';
import type { Site } from '../sites.ts';
import { median, percentile } from '../statistics.ts';
import type { Workshop } from '../workshop.ts';

type Side = 'native' | 'remote';

interface Round {
  readonly medianMs: number;
  readonly p90Ms: number;
  readonly p99Ms: number;
  /** Handshakes a second that came through; less than was offered: it is too much. */
  readonly perSecond: number;
  readonly dropped: number;
  readonly clientUtilisation: number;
}

interface Step {
  /** Of what the native edge can do, by the same clients. */
  readonly share: number;
  readonly offered: number;
  readonly native: readonly Round[];
  readonly remote: readonly Round[];
}

interface Result {
  readonly site: Site;
  /** Handshakes a second, closed loop. */
  readonly capacity: Readonly<Record<Side, number>>;
  readonly steps: readonly Step[];
}

const SIDES = ['native', 'remote'] as const;
const HALF = 0.5;
const sitesOf = ({ quick }: Scale): readonly Site[] => (quick ? ['P-256'] : ['P-256', 'RSA-2048']);
const sharesOf = ({ quick }: Scale) => (quick ? [HALF, 0.8] : [0.1, 0.25, HALF, 0.7, 0.85]);
const roundsOf = ({ quick, rounds }: Scale) => (quick ? 2 : rounds);
/** Queues need time to grow. */
const lengthOf = ({ roundMs }: Scale) => roundMs * 1.25 + 100;

function roundOf({ latencies, handshakes, wallMs, cpuMs, dropped }: ClientFigures): Round {
  return {
    medianMs: median(latencies),
    p90Ms: percentile(latencies, 0.9),
    p99Ms: percentile(latencies, 0.99),
    perSecond: (handshakes * 1000) / wallMs,
    dropped,
    clientUtilisation: cpuMs / wallMs,
  };
}

async function offer(workshop: Workshop, side: Side, site: Site, rate: number): Promise<Round> {
  const edge = await workshop.edge(side);
  const [port, length] = [edge.ports[site]!, lengthOf(workshop.scale)];
  const plan = { kind: 'open', version: 'TLSv1.3', port, perSecond: rate, ms: length } as const;
  return roundOf(await workshop.clients.run(plan));
}

async function measure(workshop: Workshop, site: Site): Promise<Result> {
  workshop.say(`${site}, capacity`);
  const closed = await compare(workshop, SIDES, { site, version: 'TLSv1.3' }, CONCURRENT);
  const capacity = {
    native: medianOf(closed.native, 'perSecond'),
    remote: medianOf(closed.remote, 'perSecond'),
  };
  const steps: Step[] = [];
  for (const part of sharesOf(workshop.scale)) {
    workshop.say(`${site}, ${share(part)} of native's capacity`);
    const offered = part * capacity.native;
    const contestants = {
      native: () => offer(workshop, 'native', site, offered),
      remote: () => offer(workshop, 'remote', site, offered),
    };
    steps.push({ share: part, offered, ...(await interleave(contestants, roundsOf(workshop.scale))) });
  }
  return { site, capacity, steps };
}

const of = (rounds: readonly Round[], figure: keyof Round) => median(rounds.map((round) => round[figure]));

function tableOf({ site, steps }: Result): Table {
  const row = ({ share: part, offered, native, remote }: Step) => [
    `${share(part)}: ${perSecond(offered)}/s`,
    ...[native, remote].flatMap((side) => [
      ms(of(side, 'medianMs')),
      ms(of(side, 'p90Ms')),
      ms(of(side, 'p99Ms')),
    ]),
    ms(of(remote, 'medianMs') - of(native, 'medianMs')),
    `${perSecond(of(native, 'perSecond'))}, ${perSecond(of(remote, 'perSecond'))}`,
  ];
  return {
    columns: [
      `${site}, TLS 1.3, ms`,
      ...['native, median', 'p90', 'p99', 'remote, median', 'p90', 'p99', 'more, median', 'came through, /s'],
    ],
    rows: steps.map(row),
  };
}

function plotOf({ site, steps }: Result): LinePlot {
  const line = (side: Side, figure: 'medianMs' | 'p99Ms') =>
    steps.map((step) => [Math.round(step.offered), of(step[side], figure)] as const);
  return {
    kind: 'lines',
    title: `Latency against offered load, ${site}, TLS 1.3`,
    x: { label: 'handshakes that begin in a second' },
    y: { label: 'ms from when it was due' },
    lines: [
      { name: 'native', points: line('native', 'medianMs') },
      { name: 'remote', points: line('remote', 'medianMs') },
      { name: 'native, p99', points: line('native', 'p99Ms') },
      { name: 'remote, p99', points: line('remote', 'p99Ms') },
    ],
  };
}

function addedAtHalf({ steps }: Result): number {
  const step = steps.find((each) => each.share === HALF);
  return step === undefined ? Number.NaN : of(step.remote, 'medianMs') - of(step.native, 'medianMs');
}

function verdicts(results: readonly Result[]): Verdict[] {
  const p256 = results.find(({ site }) => site === 'P-256');
  if (p256 === undefined) return [];
  const claim = 'P-256 at half load: median latency, remote more than native';
  return [{ claim, measured: addedAtHalf(p256), most: 0.4, unit: 'ms' }];
}

function doubts(results: readonly Result[]): string[] {
  const rounds = results.flatMap(({ steps }) =>
    steps.flatMap(({ native, remote }) => [...native, ...remote]),
  );
  const dropped = rounds.reduce((sum, round) => sum + round.dropped, 0);
  return dropped === 0
    ? []
    : [`The clients did not begin ${dropped} connections that were due: thousands were under way already.`];
}

async function answer(workshop: Workshop): Promise<Answer> {
  const results: Result[] = [];
  for (const site of sitesOf(workshop.scale)) results.push(await measure(workshop, site));
  return {
    words: results.map(
      ({ site, capacity, ...result }) =>
        `${site}: with clients and key server on the cores that are left, the native edge does ${perSecond(capacity.native)} handshakes a second, ` +
        `the remote one ${perSecond(capacity.remote)}. At half of native's, a remote handshake takes ${number(addedAtHalf({ site, capacity, ...result }))} ms more in the median.`,
    ),
    tables: results.map(tableOf),
    plots: results.map(plotOf),
    verdicts: verdicts(results),
    warnings: doubts(results),
    raw: results,
  };
}

function seconds(scale: Scale): number {
  const capacity = 2 * (scale.rounds + 1) * (scale.roundMs + 40);
  const steps = sharesOf(scale).length * 2 * roundsOf(scale) * (lengthOf(scale) + 80);
  return (sitesOf(scale).length * (capacity + steps)) / 1000;
}

export const load: Question = {
  name: 'load',
  title: 'Latency under load',
  asks: 'how long a handshake takes, by how many begin in a second',
  edges: SIDES,
  seconds,
  answer,
};

/**
 * How long does a handshake take, at how much load? Clients begin when they are due, in random gaps, and latency counts from
 * then: a queue shows.
 */
import { BUSY, bottleneckOf } from '../bottleneck.ts';
import { compare, nativelyIn } from '../comparison.ts';
import { type Counted, countedBetween, dueOf, miscounted } from '../counted.ts';
import type { CrewRun } from '../crew.ts';
import { busyClients, type Doubts, disowning, disturbanceOf, isDisturbed, withMore } from '../doubts.ts';
import { differenceEstimate, type Estimate, sideOf } from '../estimate.ts';
import { moreOrLess, ms, perSecond, share } from '../figures-in-words.ts';
import type { Answer, LinePlot, Measured, Question, Table } from '../question.ts';
import { edgeUtilisation, interleave, medianOf } from '../rounds.ts';
import type { Sample } from '../sample.ts';
import { CONCURRENT, type Scale } from '../scale.ts';
import type { Site } from '../sites.ts';
import { median, percentile, spreadOf } from '../statistics.ts';
import type { Waits } from '../waits.ts';
import type { Workshop } from '../workshop.ts';

type Side = 'native' | 'remote';

export interface Round extends Counted {
  readonly medianMs: number;
  readonly p90Ms: number;
  readonly p99Ms: number;
  /** Handshakes a second that came through; less than was offered: it is too much. */
  readonly perSecond: number;
  readonly dropped: number;
  readonly clientUtilisation: number;
  readonly waits: Waits;
}

export interface Step {
  /** Of what the native edge can do, by the same clients. */
  readonly share: number;
  readonly offered: number;
  readonly native: readonly Round[];
  readonly remote: readonly Round[];
}

export interface Result {
  readonly site: Site;
  /** Handshakes a second, closed loop. */
  readonly capacity: Readonly<Record<Side, number>>;
  /** What the capacity is the median of. */
  readonly closed: Readonly<Record<Side, readonly Sample[]>>;
  readonly steps: readonly Step[];
}

const SIDES = ['native', 'remote'] as const;
const HALF = 0.5;
const sitesOf = ({ quick }: Scale): readonly Site[] => (quick ? ['P-256'] : ['P-256', 'RSA-2048']);
const sharesOf = ({ quick }: Scale) => (quick ? [HALF, 0.8] : [0.1, 0.25, HALF, 0.7, 0.85]);
const roundsOf = ({ quick, rounds }: Scale) => (quick ? 2 : rounds);
/** Queues need time to grow. */
const lengthOf = ({ roundMs }: Scale) => roundMs * 1.25 + 100;

function roundOf(
  { latencies, handshakes, wallMs, utilisation, dropped }: CrewRun,
  waits: Waits,
): Omit<Round, keyof Counted> {
  return {
    medianMs: median(latencies),
    p90Ms: percentile(latencies, 0.9),
    p99Ms: percentile(latencies, 0.99),
    perSecond: (handshakes * 1000) / wallMs,
    dropped,
    clientUtilisation: utilisation,
    waits,
  };
}

async function offer(workshop: Workshop, side: Side, site: Site, rate: number): Promise<Round> {
  const edge = await workshop.edge(side);
  const [port, length] = [edge.ports[site]!, lengthOf(workshop.scale)];
  const plan = { kind: 'open', version: 'TLSv1.3', port, perSecond: rate, ms: length } as const;
  const before = await edge.figures();
  const [ran, waits] = await workshop.watched([edge], () => workshop.clients.run(plan));
  const counted = countedBetween(before, await edge.figures(), ran.handshakes, dueOf([edge]));
  return { ...roundOf(ran, waits), ...counted };
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
  return { site, capacity, closed, steps };
}

const of = (rounds: readonly Round[], figure: Exclude<keyof Round, 'waits' | 'due'>) =>
  median(rounds.map((round) => round[figure]));

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
    steps.map((step) => {
      const { median: middle, least, most } = spreadOf(step[side].map((round) => round[figure]));
      return [Math.round(step.offered), middle, least, most] as const;
    });
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

const atHalf = ({ steps }: Result): readonly (readonly Round[])[] => {
  const { native = [], remote = [] } = steps.find((each) => each.share === HALF) ?? {};
  return [native, remote];
};

/** What did not begin has no latency, and clients that are full have one of their own. */
const isOfClients = (rounds: readonly Round[]) =>
  rounds.some(({ dropped }) => dropped > 0) || of(rounds, 'clientUtilisation') > BUSY;

function addedAtHalf(result: Result): Estimate {
  const [native = [], remote = []] = atHalf(result);
  const medians = (rounds: readonly Round[]) => rounds.map(({ medianMs }) => medianMs);
  return differenceEstimate(medians(remote), medians(native));
}

/** Then half of the capacity is half of what the clients can do. Where the edge has no core of its own, both limit it. */
const isLimitedByClients = ({ closed }: Result, isPlaced: boolean) =>
  isPlaced && bottleneckOf(closed.native) === 'clients';

export function measuredOf(results: readonly Result[], isPlaced: boolean): Measured[] {
  const p256 = results.find(({ site }) => site === 'P-256');
  if (p256 === undefined) return [];
  const busy = share(edgeUtilisation(p256.closed.native) / 2);
  const note = isLimitedByClients(p256, isPlaced)
    ? `half of what the clients can do: ${busy} of the edge's core`
    : undefined;
  const doubtful = atHalf(p256).some(isOfClients);
  // What half of the capacity is depends on the rounds that said it.
  const disturbed = isDisturbed(...atHalf(p256), p256.closed.native);
  return [
    {
      target: 'addedLatency',
      ...addedAtHalf(p256),
      doubtful,
      disturbed,
      ...(note === undefined ? {} : { note }),
    },
  ];
}

export function doubts(results: readonly Result[]): Doubts {
  const offered = Object.fromEntries(
    results.flatMap(({ site, steps }) =>
      steps.flatMap((step) =>
        SIDES.map((side) => [`${site}, ${side}, ${share(step.share)} load`, step[side]] as const),
      ),
    ),
  );
  const closed = Object.fromEntries(
    results.flatMap((each) =>
      SIDES.map((side) => [`${each.site}, ${side}, capacity`, each.closed[side]] as const),
    ),
  );
  const all = { ...closed, ...offered };
  const found = disowning(disturbanceOf(all), ...miscounted(Object.values(all).flat()));
  return withMore(found, ...busyClients(offered), ...droppedInWords(results));
}

function droppedInWords(results: readonly Result[]): string[] {
  const rounds = results.flatMap(({ steps }) =>
    steps.flatMap(({ native, remote }) => [...native, ...remote]),
  );
  const count = rounds.reduce((sum, round) => sum + round.dropped, 0);
  return count === 0
    ? []
    : [`The clients did not begin ${count} connections that were due: too many were under way already.`];
}

function addedInWords(estimate: Estimate): string {
  const difference = moreOrLess(estimate, 'ms', ' in the median');
  return sideOf(estimate, 0) === 0
    ? `these rounds do not tell whether a remote handshake takes longer: ${difference}.`
    : `a remote handshake takes ${difference}.`;
}

export function conclusionOf(result: Result, isPlaced: boolean): string {
  const { site, capacity } = result;
  const busy = edgeUtilisation(result.closed.native);
  const whose = isLimitedByClients(result, isPlaced) ? ': the clients have no time for more' : '';
  const added = atHalf(result).some(isOfClients)
    ? ''
    : ` At half of it (${share(busy / 2)} of a core), ${addedInWords(addedAtHalf(result))}`;
  return (
    `${site}: with clients and key server ${isPlaced ? 'on the cores that are left' : 'beside it'}, the native edge does ${perSecond(capacity.native)} handshakes a second, ` +
    `the remote one ${perSecond(capacity.remote)}. The native one uses ${share(busy)} of a core for that${whose}.${added}`
  );
}

async function answer(workshop: Workshop): Promise<Answer> {
  const results: Result[] = [];
  for (const site of sitesOf(workshop.scale)) results.push(await measure(workshop, site));
  return {
    words: [],
    conclusions: results.map((result) => conclusionOf(result, workshop.isPlaced)),
    tables: results.map(tableOf),
    plots: results.map(plotOf),
    measured: measuredOf(results, workshop.isPlaced),
    ...doubts(results),
    natively: nativelyIn(results.map(({ site, closed }) => [{ site, version: 'TLSv1.3' }, closed.native])),
    raw: results,
  };
}

function seconds(scale: Scale): number {
  const capacity = 2 * scale.rounds * (scale.roundMs + 40);
  const steps = sharesOf(scale).length * 2 * roundsOf(scale) * (lengthOf(scale) + 80);
  return (sitesOf(scale).length * (capacity + steps)) / 1000;
}

export const load: Question = {
  name: 'load',
  title: 'Latency under load',
  asks: 'how long a handshake takes, by how many begin in a second',
  edges: SIDES,
  rounds: roundsOf,
  // Of the capacity.
  mostRounds: ({ rounds }: Scale) => rounds,
  seconds,
  answer,
};

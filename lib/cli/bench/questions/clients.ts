/** Are the clients to be believed? They are held against the kernel, against the edge, and against another program. */
import { bottleneckOf } from '../bottleneck.ts';
import { nativelyIn } from '../comparison.ts';
import { type Doubts, disowning, doubtsOf, withMore } from '../doubts.ts';
import type { Edge } from '../edge.ts';
import { ms, number, perSecond, share, spread, times } from '../figures-in-words.ts';
import type { Answer, Question } from '../question.ts';
import { edgeUtilisation, figuresIn, interleave, medianOf } from '../rounds.ts';
import { type Sample, takeSample } from '../sample.ts';
import { CONCURRENT, type Scale } from '../scale.ts';
import { median } from '../statistics.ts';
import type { Workshop } from '../workshop.ts';

const SITE = 'P-256';
/** Another client's handshakes are others: no bytes after them, other extensions. */
const APART = 0.25;

/** @returns edge CPU milliseconds for a handshake of `openssl s_time`, one at a time; NaN: there is no such command */
async function bySTime(workshop: Workshop, edge: Edge, seconds: number): Promise<number> {
  const before = await edge.figures();
  const args = ['s_time', '-connect', `127.0.0.1:${edge.ports[SITE]}`, '-new', '-time', String(seconds)];
  await workshop.run('clients', 'openssl', args, seconds * 1000);
  const after = await edge.figures();
  return (after.cpuMs - before.cpuMs) / (after.handshakes - before.handshakes);
}

export interface Result {
  /** With as many processes of clients as there are for one edge; sixteen at once. */
  readonly batch: readonly Sample[];
  /** With one of them; empty: there is but one. */
  readonly one: readonly Sample[];
  readonly alone: readonly Sample[];
  /** Empty: there is no openssl command. */
  readonly sTimeCpuMs: readonly number[];
}

async function measure(workshop: Workshop): Promise<Result> {
  const edge = await workshop.edge('native');
  const { roundMs } = workshop.scale;
  const take = (concurrent: number, processes?: number) => {
    const plan = { version: 'TLSv1.3', ports: [edge.ports[SITE]!], concurrent, ms: roundMs } as const;
    return takeSample(workshop, [edge], plan, processes);
  };
  const batch = () => take(CONCURRENT);
  const one = () => take(CONCURRENT, 1);
  const several = workshop.clients.members.length > 1;
  const rounds = await interleave(several ? { batch, one } : { batch }, roundsOf(workshop.scale));
  const others = { alone: () => take(1), sTime: () => bySTime(workshop, edge, sTimeSeconds(workshop.scale)) };
  const { alone, sTime } = await interleave(others, otherRoundsOf(workshop.scale));
  return { one: [], ...rounds, alone, sTimeCpuMs: sTime.filter(Number.isFinite) };
}

/** Whole ones. */
const sTimeSeconds = ({ quick }: Scale) => (quick ? 1 : 2);
const roundsOf = ({ quick }: Scale) => (quick ? 2 : 5);
const otherRoundsOf = ({ quick }: Scale) => (quick ? 1 : 5);

function limitInWords(result: Result, isPlaced: boolean): string {
  if (!isPlaced) {
    const all = medianOf(result.batch, 'clientUtilisation') + edgeUtilisation(result.batch);
    return `Clients and edge may share a core, so that neither is the bottleneck alone: together they use ${share(all)} of one. Rates are of both.`;
  }
  const room = times(1000 / medianOf(result.batch, 'edgeCpuMs') / medianOf(result.batch, 'perSecond'));
  switch (bottleneckOf(result.batch)) {
    case 'edge':
      return 'The clients are not the bottleneck: the edge uses its core, and rates are its own.';
    case 'clients':
      return (
        `The clients are the bottleneck: rates of such edges are rates of the clients, and the edge has CPU for ${room} as many handshakes. ` +
        'CPU for each handshake is not theirs to limit.'
      );
    case 'neither':
      return `Neither clients nor edge use all of a core: what both wait for limits rates, and the edge has CPU for ${room} as many handshakes.`;
  }
}

function comparedInWords({ batch, one }: Result): string {
  if (one.length === 0)
    return 'There is one process of clients: no core is free for another one, which would take its time from the first.';
  const [all, alone] = [medianOf(batch, 'perSecond'), medianOf(one, 'perSecond')];
  return `One process of clients makes ${perSecond(alone)} handshakes a second, ${batch[0]?.clientProcesses} make ${perSecond(all)}: ${times(all / alone)}.`;
}

/** How busy each was, as far as the clients, the edge and the kernel say. */
export function wordsOf({ batch }: Result, isPlaced: boolean): string[] {
  const [own, kernel] = [medianOf(batch, 'clientUtilisation'), medianOf(batch, 'clientUtilisationByKernel')];
  return [
    `With the native edge (P-256, TLS 1.3), the busiest process of clients uses ${share(own)} of a core, the kernel says ${share(kernel)}, and the edge ${share(edgeUtilisation(batch))} of ${isPlaced ? 'its own' : 'one'}.`,
  ];
}

function otherClientInWords({ alone, sTimeCpuMs }: Result): string[] {
  if (sTimeCpuMs.length === 0) return [];
  return [
    `A handshake with openssl s_time costs the edge ${ms(median(sTimeCpuMs))} ms of CPU, one with these clients ${ms(medianOf(alone, 'edgeCpuMs'))} ms.`,
  ];
}

export function doubts({ batch, one, alone, sTimeCpuMs }: Result): Doubts {
  const many = `${CONCURRENT} at once`;
  const found = doubtsOf({ 'one at a time': alone, [many]: batch, [`${many}, one process of clients`]: one });
  if (sTimeCpuMs.length === 0) {
    return withMore(
      found,
      'There is no openssl command that measures: no other client to hold these against.',
    );
  }
  const ratio = median(sTimeCpuMs) / medianOf(alone, 'edgeCpuMs');
  if (Math.abs(ratio - 1) <= APART) return found;
  return disowning(
    found,
    `The clients and openssl s_time make the edge spend different CPU: ${times(ratio)}.`,
  );
}

/** @param isPlaced whether the edge shares its core with nobody of the benchmark */
export const conclusionsOf = (result: Result, isPlaced: boolean): string[] => [
  comparedInWords(result),
  limitInWords(result, isPlaced),
  ...otherClientInWords(result),
];

async function answer(workshop: Workshop): Promise<Answer> {
  const result = await measure(workshop);
  const { alone, batch, one, sTimeCpuMs } = result;
  const rate = (samples: readonly Sample[]) => spread(figuresIn(samples, 'perSecond'), perSecond);
  const processes = batch[0]?.clientProcesses ?? 0;
  const rows = [
    ['processes of clients', String(processes)],
    ['the busiest, of a core: their own account', share(medianOf(batch, 'clientUtilisation'))],
    ["the busiest, of a core: the kernel's account", share(medianOf(batch, 'clientUtilisationByKernel'))],
    ['the edge, of a core', share(edgeUtilisation(batch))],
    ['handshakes the edge counted, over those the clients counted', number(medianOf(batch, 'agreement'))],
    [`a second, ${CONCURRENT} at once`, rate(batch)],
    ...(one.length === 0 ? [] : [[`a second, ${CONCURRENT} at once, one process of clients`, rate(one)]]),
    ['edge CPU, one at a time, ms', spread(figuresIn(alone, 'edgeCpuMs'))],
    ['edge CPU, openssl s_time, ms', spread(sTimeCpuMs)],
  ];
  return {
    words: wordsOf(result, workshop.isPlaced),
    conclusions: conclusionsOf(result, workshop.isPlaced),
    tables: [{ columns: ['clients', 'figure'], rows }],
    plots: [],
    measured: [],
    ...doubts(result),
    natively: nativelyIn([[{ site: SITE, version: 'TLSv1.3' }, batch]]),
    raw: result,
  };
}

function seconds(scale: Scale): number {
  const { roundMs } = scale;
  const [each, other] = [2 * roundMs + 100, roundMs + sTimeSeconds(scale) * 1000 + 100];
  return (roundsOf(scale) * each + otherRoundsOf(scale) * other) / 1000;
}

export const clients: Question = {
  name: 'clients',
  title: 'The clients themselves',
  asks: 'whether the load generator is to be believed',
  edges: ['native'],
  rounds: otherRoundsOf,
  // Of sixteen at once.
  mostRounds: roundsOf,
  seconds,
  answer,
};

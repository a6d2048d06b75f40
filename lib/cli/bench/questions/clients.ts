/** Are the clients to be believed? They are held against the kernel, against the edge, and against another program. */
import { doubtsOf, withMore } from '../doubts.ts';
import type { Edge } from '../edge.ts';
import { ms, number, perSecond, share, spread, times } from '../figures-in-words.ts';
import type { Answer, Question } from '../question.ts';
import { figuresIn, interleave, medianOf } from '../rounds.ts';
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
  await workshop.run('clients', 'openssl', args, (seconds + 10) * 1000);
  const after = await edge.figures();
  return (after.cpuMs - before.cpuMs) / (after.handshakes - before.handshakes);
}

/** @returns handshakes a second of two processes of clients at once, half as many connections each */
async function byTwo(workshop: Workshop, edge: Edge): Promise<number> {
  const second = workshop.startClients();
  try {
    const ports = [edge.ports[SITE]!];
    const shared = { version: 'TLSv1.3', ports, ms: workshop.scale.roundMs } as const;
    const plan = { ...shared, kind: 'closed', concurrent: CONCURRENT / 2 } as const;
    await second.run(plan);
    const both = await Promise.all([workshop.clients.run(plan), second.run(plan)]);
    return both.reduce((sum, { handshakes, wallMs }) => sum + (handshakes * 1000) / wallMs, 0);
  } finally {
    second.end();
  }
}

interface Result {
  readonly alone: readonly Sample[];
  readonly batch: readonly Sample[];
  readonly two: readonly number[];
  /** Empty: there is no openssl command. */
  readonly sTimeCpuMs: readonly number[];
}

async function measure(workshop: Workshop): Promise<Result> {
  const edge = await workshop.edge('native');
  const { roundMs } = workshop.scale;
  const take = (concurrent: number) =>
    takeSample(workshop, [edge], { version: 'TLSv1.3', ports: [edge.ports[SITE]!], concurrent, ms: roundMs });
  const contestants = { batch: () => take(CONCURRENT), two: () => byTwo(workshop, edge) };
  const { batch, two } = await interleave(contestants, roundsOf(workshop.scale));
  const others = { alone: () => take(1), sTime: () => bySTime(workshop, edge, sTimeSeconds(workshop.scale)) };
  const { alone, sTime } = await interleave(others, otherRoundsOf(workshop.scale));
  return { alone, batch, two, sTimeCpuMs: sTime.filter(Number.isFinite) };
}

/** Whole ones. */
const sTimeSeconds = ({ quick }: Scale) => (quick ? 1 : 2);
const roundsOf = ({ quick }: Scale) => (quick ? 2 : 5);
const otherRoundsOf = ({ quick }: Scale) => (quick ? 1 : 5);

function doubts({ alone, sTimeCpuMs }: Result): string[] {
  if (sTimeCpuMs.length === 0)
    return ['There is no openssl command that measures: no other client to hold these against.'];
  const ratio = median(sTimeCpuMs) / medianOf(alone, 'edgeCpuMs');
  return Math.abs(ratio - 1) <= APART
    ? []
    : [`The clients and openssl s_time make the edge spend different CPU: ${times(ratio)}.`];
}

async function answer(workshop: Workshop): Promise<Answer> {
  const result = await measure(workshop);
  const { alone, batch, two, sTimeCpuMs } = result;
  const [own, kernel] = [medianOf(batch, 'clientUtilisation'), medianOf(batch, 'clientUtilisationByKernel')];
  const rows = [
    ['clients, of a core: their own account', share(own)],
    ["clients, of a core: the kernel's account", share(kernel)],
    ['handshakes the edge counted, over those the clients counted', number(medianOf(batch, 'agreement'))],
    [`a second, one process with ${CONCURRENT} at once`, spread(figuresIn(batch, 'perSecond'), perSecond)],
    [`a second, two processes with ${CONCURRENT / 2} each`, spread(two, perSecond)],
    ['edge CPU, one at a time, ms', spread(figuresIn(alone, 'edgeCpuMs'))],
    ['edge CPU, openssl s_time, ms', spread(sTimeCpuMs)],
  ];
  return {
    words: [
      `With the native edge (P-256, TLS 1.3), the clients use ${share(own)} of a core; the kernel says ${share(kernel)}. ` +
        `Two processes of clients make ${times(median(two) / medianOf(batch, 'perSecond'))} the handshakes of one: near 1, one is enough.`,
      ...(sTimeCpuMs.length === 0
        ? []
        : [
            `A handshake with openssl s_time costs the edge ${ms(median(sTimeCpuMs))} ms of CPU, one with these clients ${ms(medianOf(alone, 'edgeCpuMs'))} ms.`,
          ]),
    ],
    tables: [{ columns: ['clients', 'figure'], rows }],
    plots: [],
    measured: [],
    ...withMore(doubtsOf({ 'one at a time': alone, [`${CONCURRENT} at once`]: batch }), ...doubts(result)),
    raw: result,
  };
}

function seconds(scale: Scale): number {
  const { roundMs } = scale;
  const [each, other] = [3 * roundMs + 300, roundMs + sTimeSeconds(scale) * 1000 + 100];
  return (roundsOf(scale) * each + otherRoundsOf(scale) * other) / 1000;
}

export const clients: Question = {
  name: 'clients',
  title: 'The clients themselves',
  asks: 'whether the load generator is to be believed',
  edges: ['native'],
  rounds: otherRoundsOf,
  seconds,
  answer,
};

/** How much memory does a paused handshake hold, beside a native one under way? */
import { setTimeout as pause } from 'node:timers/promises';
import { KeylessError } from '../../../errors.ts';
import { type Doubts, disowning } from '../doubts.ts';
import type { Edge } from '../edge.ts';
import { differenceEstimate, type Estimate, sideOf } from '../estimate.ts';
import { moreOrLess, spread } from '../figures-in-words.ts';
import { mostConnections, raiseLimit } from '../open-files.ts';
import { swappedOf } from '../process-figures.ts';
import type { Answer, Question } from '../question.ts';
import { interleave } from '../rounds.ts';
import type { Scale } from '../scale.ts';
import type { Workshop } from '../workshop.ts';

type Side = 'native' | 'remote';

const SITE = 'RSA-2048';
const roundsOf = ({ quick }: Scale) => (quick ? 2 : 5);
/** The first handshakes bring what all share: code, contexts, pools. */
const FIRST = 200;
const KILOBYTE = 1024;
const PATIENCE_MS = 20_000;
const LOOK_MS = 25;
/** Longer than any round. */
const NEVER_MS = 600_000;
const wantedOf = ({ quick }: Scale) => (quick ? 500 : 5000);
/** With fewer, what is shared would count. */
const FEWEST = 200;

/** @returns as many as there are to be, or as the limit of open files allows: of each connection both ends are files */
export function countOf(scale: Scale, most = mostConnections()): number {
  return Math.min(wantedOf(scale), most - FIRST);
}

/** @throws KeylessError ERR_KEYLESS_HANDSHAKE: the limit allows too few, and what to do */
function checkedCount(scale: Scale): number {
  const count = countOf(scale);
  if (count >= FEWEST) return count;
  const text = `The limit of open files allows no ${FEWEST} handshakes at once: ${raiseLimit(FIRST + wantedOf(scale))}`;
  throw new KeylessError('ERR_KEYLESS_HANDSHAKE', text);
}

function limited(scale: Scale, count: number): string[] {
  const wanted = wantedOf(scale);
  if (count === wanted) return [];
  return [
    `The limit of open files allows ${count} handshakes at once instead of ${wanted}: ${raiseLimit(FIRST + wanted)}`,
  ];
}

/** @returns bytes resident with so many handshakes under way */
async function hold(workshop: Workshop, edge: Edge, side: Side, count: number): Promise<number> {
  const answered = side === 'native';
  const port = edge.ports[SITE]!;
  await workshop.clients.run({ kind: 'hello', version: 'TLSv1.3', port, count, answered });
  const deadline = performance.now() + PATIENCE_MS;
  let [connections, paused] = [0, 0];
  while (performance.now() < deadline) {
    ({ connections, paused } = await edge.figures());
    // A native server that has answered holds the handshake; of the other one, what is paused is counted.
    if (connections === count && (answered || paused === count)) {
      return (await edge.figures({ collect: true })).residentBytes;
    }
    // It has more to do than to answer.
    await pause(LOOK_MS);
  }
  throw new KeylessError(
    'ERR_KEYLESS_HANDSHAKE',
    `The edge holds ${connections} connections, ${paused} of them paused, instead of ${count}.`,
  );
}

export interface Round {
  /** For each handshake. */
  readonly kilobytes: number;
  /** Of the edge, afterwards; `undefined`: this system does not say. */
  readonly swappedKilobytes: number | undefined;
}

interface Started {
  readonly edge: Edge;
  end(): void;
}

/** A remote edge whose requests do not arrive: the way to the key server is too long. It is there, and was reached. */
export async function startWaiting(workshop: Workshop, execArgv: readonly string[] = []): Promise<Started> {
  const link = await workshop.startLink();
  const edge = await workshop.startEdge(
    workshop.planOf('remote', link.port, { timeoutMs: NEVER_MS }),
    execArgv,
  );
  await link.delay(NEVER_MS);
  const end = () => {
    edge.end();
    link.end();
  };
  return { edge, end };
}

async function startNative(workshop: Workshop, execArgv: readonly string[]): Promise<Started> {
  const edge = await workshop.startEdge(workshop.planOf('native'), execArgv);
  return { edge, end: () => edge.end() };
}

/** A process for each round: what one has taken from the system it does not give back. */
async function round(workshop: Workshop, side: Side, count: number): Promise<Round> {
  const start = side === 'native' ? startNative : startWaiting;
  const { edge, end } = await start(workshop, ['--expose-gc']);
  try {
    const before = await hold(workshop, edge, side, FIRST);
    const after = await hold(workshop, edge, side, FIRST + count);
    // Garbage would be taken for what a handshake holds.
    if ((await edge.figures()).collections !== 2) throw new Error('Memory was measured with its garbage.');
    return { kilobytes: (after - before) / count / KILOBYTE, swappedKilobytes: swappedOf(edge.pid) };
  } finally {
    end();
    const none = { kind: 'hello', version: 'TLSv1.3', port: 0, count: 0, answered: false } as const;
    await workshop.clients.run(none);
  }
}

/** What else runs takes nothing of a process's own memory, but what is resident of it. */
export function doubts(rounds: readonly Round[], limits: readonly string[] = []): Doubts {
  const swapped = rounds.some(({ swappedKilobytes = 0 }) => swappedKilobytes > 0)
    ? ['Some memory of an edge was swapped out: what is resident is not all that handshakes hold.']
    : [];
  const impossible = rounds.some(({ kilobytes }) => kilobytes <= 0)
    ? ['An edge had no more memory with more handshakes. That cannot be: something took it away.']
    : [];
  return disowning({ warnings: limits, disowned: false, disturbed: false }, ...swapped, ...impossible);
}

/** @param estimate kilobytes for each paused handshake, less those of a native one */
export function conclusionOf(estimate: Estimate): string {
  const difference = moreOrLess(estimate, 'KB');
  return sideOf(estimate, 0) === 0
    ? `These rounds do not tell whether a paused handshake holds more than a native one under way: ${difference}.`
    : `Each paused handshake holds ${difference} than a native one under way.`;
}

async function answer(workshop: Workshop): Promise<Answer> {
  const count = checkedCount(workshop.scale);
  const contestants = {
    native: () => round(workshop, 'native', count),
    paused: () => round(workshop, 'remote', count),
  };
  const rounds = await interleave(contestants, roundsOf(workshop.scale));
  const kilobytes = (all: readonly Round[]) => all.map((each) => each.kilobytes);
  const [native, paused] = [kilobytes(rounds.native), kilobytes(rounds.paused)];
  const estimate = differenceEstimate(paused, native);
  const write = (value: number) => value.toFixed(1);
  return {
    words: [
      `${count} clients begin a handshake and do not end it. The native edge waits for their answer, the remote one for its key server's, which does not come.`,
    ],
    conclusions: [conclusionOf(estimate)],
    tables: [
      {
        columns: [`${count} handshakes under way, KB each`, 'native', 'paused', 'difference'],
        rows: [
          [
            'resident memory of the edge',
            spread(native, write),
            spread(paused, write),
            write(estimate.value),
          ],
        ],
      },
    ],
    plots: [],
    measured: [{ target: 'memory', ...estimate }],
    ...doubts([...rounds.native, ...rounds.paused], limited(workshop.scale, count)),
    raw: { count, ...rounds },
  };
}

export const memory: Question = {
  name: 'memory',
  title: 'Memory of paused handshakes',
  asks: 'how much memory a paused handshake holds',
  edges: [],
  rounds: roundsOf,
  seconds: (scale: Scale) => roundsOf(scale) * 2 * (0.6 + wantedOf(scale) / 1500),
  answer,
};

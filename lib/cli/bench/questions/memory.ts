/** How much memory does a paused handshake hold, beside a native one under way? */
import { setTimeout as pause } from 'node:timers/promises';
import { KeylessError } from '../../../errors.ts';
import { Edge } from '../edge.ts';
import { number, spread } from '../figures-in-words.ts';
import type { Answer, Question } from '../question.ts';
import { interleave } from '../rounds.ts';
import type { Scale } from '../scale.ts';
import { median } from '../statistics.ts';
import type { Workshop } from '../workshop.ts';

type Mode = 'native' | 'unanswered';

const SITE = 'RSA-2048';
const roundsOf = ({ quick }: Scale) => (quick ? 1 : 3);
/** The first handshakes bring what all share: code, contexts, pools. */
const FIRST = 200;
const KILOBYTE = 1024;
const PATIENCE_MS = 20_000;
const LOOK_MS = 25;
const countOf = ({ quick }: Scale) => (quick ? 1000 : 5000);

/** @returns bytes resident with so many handshakes under way */
async function hold(workshop: Workshop, edge: Edge, mode: Mode, count: number): Promise<number> {
  const answered = mode === 'native';
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

/** A process for each round: what one has taken from the system it does not give back. @returns kilobytes for each handshake */
async function round(workshop: Workshop, mode: Mode): Promise<number> {
  const edge = await Edge.start(workshop.planOf(mode), ['--expose-gc']);
  try {
    const count = countOf(workshop.scale);
    const before = await hold(workshop, edge, mode, FIRST);
    const after = await hold(workshop, edge, mode, FIRST + count);
    return (after - before) / count / KILOBYTE;
  } finally {
    const none = { kind: 'hello', version: 'TLSv1.3', port: 0, count: 0, answered: false } as const;
    await workshop.clients.run(none);
    edge.end();
  }
}

async function answer(workshop: Workshop): Promise<Answer> {
  const contestants = {
    native: () => round(workshop, 'native'),
    paused: () => round(workshop, 'unanswered'),
  };
  const { native, paused } = await interleave(contestants, roundsOf(workshop.scale));
  const count = countOf(workshop.scale);
  const measured = median(paused) - median(native);
  const write = (value: number) => value.toFixed(1);
  return {
    words: [
      `${count} clients begin a handshake and do not end it. The native edge waits for their answer, the keyless one for its key server's: ` +
        `each paused handshake holds ${number(measured)} KB more.`,
    ],
    tables: [
      {
        columns: [`${count} handshakes under way, KB each`, 'native', 'paused', 'difference'],
        rows: [
          ['resident memory of the edge', spread(native, write), spread(paused, write), write(measured)],
        ],
      },
    ],
    plots: [],
    verdicts: [{ claim: "A paused handshake's memory, over native's", measured, most: 80, unit: 'KB' }],
    warnings: [],
    raw: { count, native, paused },
  };
}

export const memory: Question = {
  name: 'memory',
  title: 'Memory of paused handshakes',
  asks: 'how much memory a paused handshake holds',
  edges: [],
  seconds: (scale: Scale) => roundsOf(scale) * 2 * (0.5 + countOf(scale) / 1500),
  answer,
};

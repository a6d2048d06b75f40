/** Are the handshakes those that were to be measured? By the counters of edges, and of clients. */
import type { Edge } from './edge.ts';
import type { EdgeFigures } from './edge-process.ts';

/** For each handshake. */
interface Counts {
  /** Signatures that were asked for; native: 0, it cannot be told. */
  readonly operations: number;
  /** Share of the handshakes that the edge resumed. */
  readonly resumed: number;
}

export interface Counted extends Counts {
  /** Handshakes the edge counted, over those the clients counted: 1, or one of them is wrong. */
  readonly agreement: number;
  /** What these were to be. */
  readonly due: Counts;
}

/** A full handshake has an operation where the edge does not sign for itself, a resumed one has none. */
export function dueOf(edges: readonly Pick<Edge, 'asks'>[], resume = false): Counts {
  return { operations: !resume && edges.some(({ asks }) => asks) ? 1 : 0, resumed: resume ? 1 : 0 };
}

/** @param handshakes that the clients counted between these figures */
export function countedBetween(
  before: EdgeFigures,
  after: EdgeFigures,
  handshakes: number,
  due: Counts,
): Counted {
  const each = (name: keyof EdgeFigures) => (after[name] - before[name]) / handshakes;
  return { operations: each('operations'), resumed: each('resumed'), agreement: each('handshakes'), due };
}

const isFull = ({ due }: Counted) => due.resumed === 0;

/** @param all rounds; @returns a sentence for each way in which they are others */
export function miscounted(all: readonly Counted[]): string[] {
  const [full, resumed] = [all.filter(isFull), all.filter((each) => !isFull(each))];
  const wronglyAsked = ({ operations, due }: Counted) => operations !== due.operations;
  const found: readonly (readonly [boolean, string])[] = [
    [
      all.some(({ agreement }) => agreement !== 1),
      'Edge and clients counted different numbers of handshakes.',
    ],
    [
      full.some((each) => each.resumed !== 0),
      'Some handshakes were resumed: the comparison is not between full handshakes.',
    ],
    [
      full.some(wronglyAsked),
      'Not every handshake of an edge without keys had one operation: not all handshakes were full ones.',
    ],
    [
      resumed.some((each) => each.resumed !== 1),
      'Not every handshake was resumed: the comparison is not between resumed handshakes.',
    ],
    [
      resumed.some(wronglyAsked),
      'The key server was asked: the comparison is not between resumed handshakes.',
    ],
  ];
  return found.filter(([is]) => is).map(([, sentence]) => sentence);
}

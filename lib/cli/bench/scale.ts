/** How long things are measured. */
export interface Scale {
  readonly quick: boolean;
  /** Of each contestant, in turn: A B, B A, … */
  readonly rounds: number;
  /** Milliseconds of one round. */
  readonly roundMs: number;
  /** Milliseconds of load on each edge before anything is measured: V8 compiles meanwhile. */
  readonly warmUpMs: number;
}

export const FULL: Scale = { quick: false, rounds: 5, roundMs: 700, warmUpMs: 6000 };
export const QUICK: Scale = { quick: true, rounds: 5, roundMs: 220, warmUpMs: 5000 };

/** Connections at once, where it is not the question. */
export const CONCURRENT = 16;

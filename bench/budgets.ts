/** What a remote handshake may cost its edge, as a share of a native one: the only place that says so, each with its reason. */
import type { Case } from '../lib/cli/bench/comparison.ts';

export interface Budget extends Case {
  /** CPU of the edge, remote over native. */
  readonly most: number;
  readonly because: string;
}

export const BUDGETS: readonly Budget[] = [
  {
    ...{ site: 'RSA-2048', version: 'TLSv1.3', most: 0.88 },
    because:
      '0.69 after a long warm-up on a CPU with AVX-512; a short one leaves V8 compiling on the remote side',
  },
  {
    ...{ site: 'P-256', version: 'TLSv1.3', most: 1.38 },
    because: '1.10 after a long warm-up; a short one leaves V8 compiling on the remote side',
  },
];

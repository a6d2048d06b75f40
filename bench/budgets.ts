/**
 * What `npm run bench:gate` lets a remote handshake cost its edge, each with its reason: what no change may make worse. What is
 * promised is elsewhere (lib/cli/bench/targets.ts), and not all of it is met.
 */
import type { Case } from '../lib/cli/bench/comparison.ts';
import type { Scale } from '../lib/cli/bench/scale.ts';

export interface Budget extends Case {
  /** CPU of the edge for a remote handshake, in those of {@link UNIT}. */
  readonly most: number;
  readonly because: string;
}

/**
 * What a native edge spends on it in the same rounds is the unit, of every budget: Node.js and the kernel make a handshake of it,
 * as they make a request, and hosts on which they are slower are as much slower at both. How fast a machine computes is little of either
 * (docs/benchmarks.md, "Where the microseconds go"): the unit has a P-256 signature, 14 of 476 µs, and a remote RSA-2048 handshake the
 * check of one, 17 of 572 µs.
 */
export const UNIT: Case = { site: 'P-256', version: 'TLSv1.3' };

/** Measured on the slower of two hosts. On the faster one, by `keyless-tls bench`, both are some 4 % less, so that the canary's 30 % are still above. */
export const BUDGETS: readonly Budget[] = [
  {
    ...{ site: 'RSA-2048', version: 'TLSv1.3', most: 1.6 },
    because:
      'the best of three tries was 1.41, and 1.55 beside many other programs, the canary 1.84; the request, its answer and the check of the signature cost that',
  },
  {
    ...{ site: 'P-256', version: 'TLSv1.3', most: 1.5 },
    because:
      'the best of three tries was 1.27, and 1.46 beside many other programs, the canary 1.62; the request and its answer cost that',
  },
];

/** Many short rounds: what disturbs one of them disturbs no median. */
export const SCALE: Scale = { quick: true, rounds: 15, roundMs: 120, warmUpMs: 6000 };

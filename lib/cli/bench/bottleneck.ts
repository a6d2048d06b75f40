/** What keeps an edge from more handshakes, as far as CPU is it. */
import { edgeUtilisation, medianOf } from './rounds.ts';
import type { Sample } from './sample.ts';

/** A process that reaches this share of a core is what limits wall times. */
export const BUSY = 0.95;
/** An edge that uses so much of its core has no more handshakes to give. */
const FULL_EDGE = 0.9;

type Bottleneck = 'edge' | 'clients' | 'neither';

/** The edge first: clients that are as busy have not limited it. @param edge share of its core; @param clients of the busiest process */
export function bottleneckBetween(edge: number, clients: number): Bottleneck {
  if (edge >= FULL_EDGE) return 'edge';
  return clients > BUSY ? 'clients' : 'neither';
}

export function bottleneckOf(samples: readonly Sample[]): Bottleneck {
  return bottleneckBetween(edgeUtilisation(samples), medianOf(samples, 'clientUtilisation'));
}

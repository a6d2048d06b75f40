/** What full handshakes cost, as it was measured. */
import type { Case } from '../comparison.ts';
import { medianOf } from '../rounds.ts';
import type { Sample } from '../sample.ts';
import type { SignatureSample } from '../signature.ts';

type Sides = Readonly<Record<'native' | 'remote', readonly Sample[]>>;

export interface Result extends Case {
  /** Of edges that the rounds of {@link batch} are of, one after the other. */
  readonly generations: number;
  /** Sixteen at once. */
  readonly batch: Sides;
  /** One after the other. */
  readonly alone: Sides;
  /** Of OpenSSL alone, in turn with {@link alone}. */
  readonly signature: readonly SignatureSample[];
}

/** CPU milliseconds of edge, key server and clients for one handshake. */
export function sumOf(samples: readonly Sample[], native: boolean): number {
  const keyServer = native ? 0 : medianOf(samples, 'keyServerCpuMs');
  return medianOf(samples, 'edgeCpuMs') + keyServer + medianOf(samples, 'clientCpuMs');
}

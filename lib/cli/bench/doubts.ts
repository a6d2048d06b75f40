/** What samples say against themselves. */
import type { Sample } from './sample.ts';
import { median } from './statistics.ts';

/** A process that reaches this share of a core is what limits wall times. */
const BUSY = 0.95;
/** How far two accounts of the same CPU time may be apart: one is read a moment after the other. */
const APART = 0.1;

/** @returns sentences; none: nothing was found */
export function doubtsOf(samples: readonly Sample[]): string[] {
  const found: string[] = [];
  const utilisation = median(samples.map((sample) => sample.clientUtilisation));
  if (utilisation > BUSY) {
    found.push(
      'The clients used a whole core: rates and latencies are limited by them. CPU times for each handshake are not.',
    );
  }
  const byKernel = median(samples.map((sample) => sample.clientUtilisationByKernel ?? Number.NaN));
  if (Math.abs(byKernel - utilisation) > APART) {
    found.push(
      `The clients say they used ${utilisation.toFixed(2)} of a core, the kernel says ${byKernel.toFixed(2)}.`,
    );
  }
  if (samples.some(({ agreement }) => agreement !== 1)) {
    found.push('Edge and clients counted different numbers of handshakes.');
  }
  return found;
}

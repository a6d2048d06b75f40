/** How long to wait before the next attempt to connect: longer each time, and never in step with other edges. */

export interface BackOffSettings {
  /** Milliseconds. */
  readonly minMs: number;
  readonly maxMs: number;
  /** 0 to 1, as Math.random. */
  readonly random: () => number;
}

export const DEFAULT_BACK_OFF: BackOffSettings = { minMs: 50, maxMs: 800, random: Math.random };

/**
 * Doubles with each failure, then takes between a half and all of it.
 *
 * @param failures attempts in a row without success, from 1
 * @returns milliseconds
 */
export function backOffMs(failures: number, { minMs, maxMs, random }: BackOffSettings): number {
  const full = Math.min(maxMs, minMs * 2 ** Math.min(failures - 1, 30));
  return full * (0.5 + random() / 2);
}

/**
 * Whether a file that is looked at again and again is as it was. File systems count time in steps, and two changes within one
 * look the same: what has just changed may have changed again, and is read again until it has settled.
 */
import { systemClock } from '../clock.ts';

/** How a file was found. */
export interface SeenFile {
  /** Another one if the file is another. */
  readonly stamp: string;
  /** Since when it is known to be so, by the monotonic clock, milliseconds. */
  readonly sinceMs: number;
  /** Another change would be seen. */
  readonly settled: boolean;
}

const SETTLED_MS = 2000;

/**
 * @param changedAtMs the time of its last change, as its file system has it: by a clock that may be ahead of this one, or was
 * @param before how it was found at the last look
 */
export function seeFile(stamp: string, changedAtMs: number, before: SeenFile | undefined): SeenFile {
  const nowMs = systemClock.now();
  const sinceMs = before?.stamp === stamp ? before.sinceMs : nowMs;
  const settled = Date.now() - changedAtMs > SETTLED_MS || nowMs - sinceMs > SETTLED_MS;
  return { stamp, sinceMs, settled };
}

/** Nothing has to be read again. @param found now @param before how it was when it was read last */
export function isAsItWas(found: SeenFile, before: SeenFile | undefined): boolean {
  return before?.settled === true && before.stamp === found.stamp;
}

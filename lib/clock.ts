/**
 * Time comes in: rooms that wait take a clock, so that tests decide what time it is.
 *
 * Milliseconds on a monotonic scale; the wall clock is never used for time-outs (it jumps).
 */
import { performance } from 'node:perf_hooks';

/** One pending call; does not keep the process alive unless `ref()` was called. */
export interface Alarm {
  ref(): void;
  unref(): void;
  cancel(): void;
}

export interface Clock {
  /** Milliseconds, monotonic, the scale of `performance.now()`. */
  now(): number;
  /** Calls `wake` once in `ms` milliseconds. */
  after(ms: number, wake: () => void): Alarm;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  after(ms, wake) {
    const timer = setTimeout(wake, ms);
    timer.unref();
    return {
      ref: () => void timer.ref(),
      unref: () => void timer.unref(),
      cancel: () => clearTimeout(timer),
    };
  },
};

/**
 * Time comes in: rooms that wait take a clock, so that tests decide what time it is.
 *
 * Milliseconds on a monotonic scale; the wall clock is never used for time-outs (it jumps).
 */
import { performance } from 'node:perf_hooks';
import { clearTimeout, setTimeout } from './timers.ts';

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

class TimerAlarm implements Alarm {
  readonly #timer: NodeJS.Timeout;

  constructor(ms: number, wake: () => void) {
    this.#timer = setTimeout(wake, ms).unref();
  }

  ref(): void {
    this.#timer.ref();
  }
  unref(): void {
    this.#timer.unref();
  }
  cancel(): void {
    clearTimeout(this.#timer);
  }
}

export const systemClock: Clock = {
  now: () => performance.now(),
  after: (ms, wake) => new TimerAlarm(ms, wake),
};

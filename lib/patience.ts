/**
 * The time that somebody else is given to answer. This process may stand still meanwhile, stopped or busy, and timers come before
 * what is to be read: so it is looked at in shares, and of what it takes to come to the end of one, half of the whole time counts at
 * most. However long this process stands still, that is half of it, and before the end all is read that is there. In a process whose
 * turns are long it ends that much later, by two of them at most.
 */
import type { Alarm, Clock } from './clock.ts';
import { setImmediate } from './timers.ts';

export interface Patience {
  cancel(): void;
}

const SHARES = 4;
/** Timers are late by so much as a rule. */
const LATE_MS = 5;

class Shares implements Patience {
  readonly #clock: Clock;
  readonly #ms: number;
  readonly #onEnd: () => void;
  #leftMs: number;
  #alarm: Alarm;
  #cancelled = false;

  constructor(clock: Clock, ms: number, onEnd: () => void) {
    this.#clock = clock;
    this.#ms = ms;
    this.#leftMs = ms;
    this.#onEnd = onEnd;
    this.#alarm = this.#begin();
  }

  cancel(): void {
    this.#cancelled = true;
    this.#alarm.cancel();
  }

  #begin(): Alarm {
    const ms = Math.min(Math.ceil(this.#ms / SHARES), Math.ceil(this.#leftMs));
    const begunAt = this.#clock.now();
    return this.#clock.after(ms, () => this.#look(this.#clock.now() - begunAt, ms));
  }

  /** @param tookMs what was to take `ms` */
  #look(tookMs: number, ms: number): void {
    this.#leftMs -= Math.min(Math.max(tookMs, ms), Math.max(this.#ms / 2, ms));
    if (this.#leftMs > 0) this.#alarm = this.#begin();
    else if (tookMs - ms > LATE_MS) setImmediate(() => this.#end());
    else this.#end();
  }

  #end(): void {
    if (!this.#cancelled) this.#onEnd();
  }
}

/** @param onEnd is called once when the time is over, unless it is cancelled before; it does not keep the process alive */
export function patience(clock: Clock, ms: number, onEnd: () => void): Patience {
  return new Shares(clock, ms, onEnd);
}

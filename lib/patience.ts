/**
 * The time that somebody else is given to answer. This process may stand still meanwhile, stopped or busy, and timers come before
 * what is to be read: so the time counts in shares, each from when this process came to see the end of the one before. However
 * long it stands still, that is one share, and before the end all is read that is there.
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
  readonly #onEnd: () => void;
  #shares = SHARES;
  #leftMs: number;
  #alarm: Alarm;
  #cancelled = false;

  constructor(clock: Clock, ms: number, onEnd: () => void) {
    this.#clock = clock;
    this.#leftMs = ms;
    this.#onEnd = onEnd;
    this.#alarm = this.#begin();
  }

  cancel(): void {
    this.#cancelled = true;
    this.#alarm.cancel();
  }

  #begin(): Alarm {
    const ms = Math.ceil(this.#leftMs / this.#shares);
    const dueAt = this.#clock.now() + ms;
    this.#shares -= 1;
    this.#leftMs -= ms;
    return this.#clock.after(ms, () => {
      if (this.#clock.now() - dueAt > LATE_MS) setImmediate(() => this.#end());
      else this.#end();
    });
  }

  #end(): void {
    if (this.#cancelled) return;
    if (this.#shares === 0) this.#onEnd();
    else this.#alarm = this.#begin();
  }
}

/** @param onEnd is called once when the time is over, unless it is cancelled before; it does not keep the process alive */
export function patience(clock: Clock, ms: number, onEnd: () => void): Patience {
  return new Shares(clock, ms, onEnd);
}

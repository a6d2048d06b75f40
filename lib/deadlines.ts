/**
 * Ends what takes too long. One alarm for all of them, which is left as it is when one settles: nearly all do long before, and a
 * timer of its own costs each a good part of what the rest of its bookkeeping does.
 *
 * This process may have stood still, stopped or busy, until after a deadline. What came meanwhile has not been read when the alarm
 * goes off, as timers come first: it is read before anything ends.
 */
import type { Alarm, Clock } from './clock.ts';
import { setImmediate } from './timers.ts';

export interface Timed {
  /** Milliseconds on the clock. */
  readonly deadline: number;
  /** The deadline has passed. */
  timeOut(): void;
}

/** However many deadlines pass one after the other, all are looked at no more often than that. */
const PAUSE_MS = 5;
/** An alarm that is late by more is no fault of whoever is waited for. */
const OVERSLEPT_MS = 250;
/** Timers count no further. */
const MAX_WAIT_MS = 2_147_483_647;

/** @returns whether this process stood still when the deadline passed: nobody else is to blame that there was no answer */
export function hasOverslept(deadline: number, now: number): boolean {
  return now - deadline > OVERSLEPT_MS;
}

/** Keeps the process alive while something waits, unless made otherwise. Owner: whoever made it, with {@link release} at its end. */
export class Deadlines<T extends Timed> {
  readonly #clock: Clock;
  readonly #holdsProcess: boolean;
  readonly #waiting = new Set<T>();
  #alarm: Alarm | undefined;
  #dueAt = Number.POSITIVE_INFINITY;

  constructor(clock: Clock, { holdsProcess = true } = {}) {
    this.#clock = clock;
    this.#holdsProcess = holdsProcess;
  }

  /** @param timed its `timeOut()` is called at its deadline, or up to 5 ms later where others' have just passed, unless {@link remove} comes first */
  add(timed: T): void {
    this.#waiting.add(timed);
    if (timed.deadline < this.#dueAt) this.#wait(timed.deadline, this.#clock.now());
    else if (this.#holdsProcess && this.#waiting.size === 1) this.#alarm?.ref();
  }

  remove(timed: T): void {
    if (this.#waiting.delete(timed) && this.#waiting.size === 0 && this.#holdsProcess) this.#alarm?.unref();
  }

  /** Nothing more is to come: once nothing waits, no alarm does. */
  release(): void {
    if (this.#waiting.size > 0) return;
    this.#alarm?.cancel();
    this.#dueAt = Number.POSITIVE_INFINITY;
  }

  #wait(dueAt: number, now: number): void {
    this.#alarm?.cancel();
    this.#dueAt = dueAt;
    const waitMs = Math.min(MAX_WAIT_MS, Math.max(0, Math.ceil(dueAt - now)));
    this.#alarm = this.#clock.after(waitMs, () => this.#wake());
    if (this.#holdsProcess) this.#alarm.ref();
  }

  #wake(): void {
    // By then all has been read that is there.
    if (hasOverslept(this.#dueAt, this.#clock.now())) setImmediate(() => this.#look());
    else this.#look();
  }

  #look(): void {
    const now = this.#clock.now();
    this.#dueAt = Number.POSITIVE_INFINITY;
    let ended = false;
    try {
      for (const timed of this.#waiting) {
        if (timed.deadline > now) continue;
        ended = true;
        timed.timeOut();
      }
    } finally {
      // Timers may come a little before their time: then nothing has ended, and the next look is soon.
      this.#lookAgain(now, ended ? now + PAUSE_MS : now);
    }
  }

  /** What `timeOut()` throws (a user's event handler does) must not leave the others without an end. */
  #lookAgain(now: number, soonest: number): void {
    let next = Number.POSITIVE_INFINITY;
    for (const { deadline } of this.#waiting) next = Math.min(next, deadline);
    if (next < this.#dueAt) this.#wait(Math.max(next, soonest), now);
  }
}

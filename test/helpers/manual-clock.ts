/** A clock that stands still until the test says otherwise. */
import type { Alarm, Clock } from '../../lib/clock.ts';

export class ManualClock implements Clock {
  #now = 0;
  readonly #alarms = new Map<Alarm, { at: number; wake: () => void }>();

  now(): number {
    return this.#now;
  }

  after(ms: number, wake: () => void): Alarm {
    const alarm: Alarm = {
      ref: () => undefined,
      unref: () => undefined,
      cancel: () => void this.#alarms.delete(alarm),
    };
    this.#alarms.set(alarm, { at: this.#now + ms, wake });
    return alarm;
  }

  get pending(): number {
    return this.#alarms.size;
  }

  /** Lets time pass; alarms go off in their order. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (let due = this.#next(end); due !== undefined; due = this.#next(end)) {
      const [alarm, { at, wake }] = due;
      this.#alarms.delete(alarm);
      this.#now = Math.max(this.#now, at);
      wake();
    }
    this.#now = end;
  }

  /** Time passes without a turn of the loop: alarms are late. */
  oversleep(ms: number): void {
    this.#now += ms;
  }

  #next(end: number): [Alarm, { at: number; wake: () => void }] | undefined {
    return [...this.#alarms].filter(([, { at }]) => at <= end).sort(([, a], [, b]) => a.at - b.at)[0];
  }
}

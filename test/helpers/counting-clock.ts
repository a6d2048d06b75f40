/** The system's clock, which knows how many alarms are to come. */
import { type Alarm, type Clock, systemClock } from '../../lib/clock.ts';

export class CountingClock implements Clock {
  readonly #pending = new Set<Alarm>();

  get pending(): number {
    return this.#pending.size;
  }

  now(): number {
    return systemClock.now();
  }

  after(ms: number, wake: () => void): Alarm {
    const timer = systemClock.after(ms, () => {
      this.#pending.delete(alarm);
      wake();
    });
    const alarm: Alarm = {
      ref: () => timer.ref(),
      unref: () => timer.unref(),
      cancel: () => {
        this.#pending.delete(alarm);
        timer.cancel();
      },
    };
    this.#pending.add(alarm);
    return alarm;
  }
}

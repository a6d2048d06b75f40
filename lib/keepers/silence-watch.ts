/** Notices a process that says nothing though it was asked: it may be stopped, and may be continued. */
import { type Alarm, type Clock, systemClock } from '../clock.ts';
import { setImmediate } from '../timers.ts';

export interface SilenceEvents {
  /** Whether an answer is waited for. */
  waits(): boolean;
  /** Nothing was heard for so long; told again each time that it lasts as long once more. */
  onSilence(): void;
}

/** Owner: who asks. Thread: the asker's. States: idle <-> watching -> stopped. */
export class SilenceWatch {
  readonly #limitMs: number;
  readonly #events: SilenceEvents;
  readonly #clock: Clock;
  #alarm: Alarm | undefined;
  /** The last word, or the first question since. */
  #quietSince = 0;

  /** @param limitMs how long a process may say nothing */
  constructor(limitMs: number, events: SilenceEvents, clock: Clock = systemClock) {
    this.#limitMs = limitMs;
    this.#events = events;
    this.#clock = clock;
  }

  /** To be called before each question. */
  asking(): void {
    if (!this.#events.waits()) this.#quietSince = this.#clock.now();
    this.#alarm ??= this.#lookIn(this.#limitMs);
  }

  heard(): void {
    this.#quietSince = this.#clock.now();
  }

  stop(): void {
    this.#alarm?.cancel();
  }

  #lookIn(ms: number): Alarm {
    // This process may have been the one that was busy or stopped: what has come meanwhile is read before it is judged.
    return this.#clock.after(ms, () => setImmediate(() => this.#look()));
  }

  #look(): void {
    this.#alarm = undefined;
    if (!this.#events.waits()) return;
    const leftMs = this.#quietSince + this.#limitMs - this.#clock.now();
    if (leftMs > 0) {
      this.#alarm = this.#lookIn(leftMs);
      return;
    }
    this.#events.onSilence();
    if (this.#events.waits()) this.#alarm ??= this.#lookIn(this.#limitMs);
  }
}

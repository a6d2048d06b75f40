/** A place for one of the processes that hold an app's keys: who is in it, and when the next one comes. */
import { type Alarm, type Clock, systemClock } from '../clock.ts';
import { nextTick } from '../timers.ts';
import { KeyHolder } from './key-holder.ts';
import { RestartPace } from './restart-pace.ts';

export interface KeySlotEvents {
  /** A process has ended. @param how for people */
  onExit(holder: KeyHolder, how: string): void;
  /** @param what names of Hardening that a process could not do */
  onExposed(what: string): void;
  /** Another one is in its place, and has no keys yet. */
  onReplaced(holder: KeyHolder): void;
  /** @returns whether what this one has not answered may be asked elsewhere */
  onSilence(holder: KeyHolder): boolean;
}

/** Owner: KeyProcess. States: empty -> held <-> waiting (for the next process) -> empty, by stop(). */
export class KeySlot {
  readonly #events: KeySlotEvents;
  readonly #clock: Clock;
  readonly #pace = new RestartPace();
  #holder: KeyHolder | undefined;
  #alarm: Alarm | undefined;
  #isStopped = true;

  constructor(events: KeySlotEvents, clock: Clock = systemClock) {
    this.#events = events;
    this.#clock = clock;
  }

  get holder(): KeyHolder | undefined {
    return this.#holder;
  }

  /** @throws KeylessError ERR_KEYLESS_PLATFORM: the process cannot be started */
  start(): void {
    const holder: KeyHolder = new KeyHolder({
      onEnd: () => this.#end(holder),
      onExposed: (what) => this.#events.onExposed(what),
      onExit: (how) => this.#events.onExit(holder, how),
      onSilence: () => this.#events.onSilence(holder),
    });
    this.#holder = holder;
    this.#isStopped = false;
    this.#pace.started(this.#clock.now());
  }

  /** The process is ended, and no other one follows. */
  stop(): void {
    const holder = this.#holder;
    this.#holder = undefined;
    this.#isStopped = true;
    this.#alarm?.cancel();
    holder?.end();
  }

  #end(holder: KeyHolder): void {
    if (this.#holder !== holder) return;
    this.#holder = undefined;
    this.#waitForNext();
  }

  #waitForNext(): void {
    const delayMs = this.#pace.afterEnd(this.#clock.now());
    // What the one that has ended had not answered is asked elsewhere first.
    if (delayMs === 0) nextTick(() => this.#replace());
    else this.#alarm = this.#clock.after(delayMs, () => this.#replace());
  }

  #replace(): void {
    if (this.#isStopped) return;
    try {
      this.start();
    } catch {
      // Nothing has been said of it but that the process has ended, which it has.
      this.#waitForNext();
      return;
    }
    this.#events.onReplaced(this.#holder!);
  }
}

/**
 * A page that costs something to make, for however many ask: one is made at a time, for all who have asked by then, and its cost
 * stays a small part of the process's time.
 */
import { type Clock, systemClock } from '../clock.ts';

/** Of the time between two pages, one of so many parts is spent on them at most. */
const PARTS = 100;
/** Longer than this nobody waits for the next one to be begun: Prometheus has 10 s for all. */
const MAX_PAUSE_MS = 2000;

export class PageForAll {
  readonly #make: () => Promise<Buffer>;
  readonly #clock: Clock;
  #next: Promise<Buffer> | undefined;
  #notBefore = 0;

  constructor(make: () => Promise<Buffer>, clock: Clock = systemClock) {
    this.#make = make;
    this.#clock = clock;
  }

  /** @returns the page that is waited for or being made, or else the next one. Rejects as the maker does */
  next(): Promise<Buffer> {
    this.#next ??= this.#begin();
    return this.#next;
  }

  async #begin(): Promise<Buffer> {
    const pauseMs = this.#notBefore - this.#clock.now();
    if (pauseMs > 0) await new Promise<void>((resolve) => this.#clock.after(pauseMs, resolve));
    const startedAt = this.#clock.now();
    try {
      return await this.#make();
    } finally {
      const endedAt = this.#clock.now();
      this.#notBefore = endedAt + Math.min(PARTS * (endedAt - startedAt), MAX_PAUSE_MS);
      this.#next = undefined;
    }
  }
}

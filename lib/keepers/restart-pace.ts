/** When a process that has ended is started again: at once, and later and later while it does not live long. */

const FIRST_MS = 1000;
const LONGEST_MS = 60_000;
/** Who has lived for so long has started well. */
const CALM_MS = 60_000;

export class RestartPace {
  /** `undefined`: it does not run. */
  #startedAt: number | undefined;
  #delayMs = 0;

  /** @param now milliseconds, monotonic */
  started(now: number): void {
    this.#startedAt = now;
  }

  /** It has ended, or could not be started. @returns how many milliseconds later it is started */
  afterEnd(now: number): number {
    const livedWell = this.#startedAt !== undefined && now - this.#startedAt >= CALM_MS;
    this.#startedAt = undefined;
    const delayMs = livedWell ? 0 : this.#delayMs;
    this.#delayMs = delayMs === 0 ? FIRST_MS : Math.min(2 * delayMs, LONGEST_MS);
    return delayMs;
  }
}

/** How often something may happen: `perSecond` on average, `burst` at once. */
import type { Clock } from '../clock.ts';

export interface Rate {
  /** Operations a second on average; above 0. */
  readonly perSecond: number;
  /** Operations at once, after a pause; 1 or more. Default: a second's worth. */
  readonly burst?: number | undefined;
}

export class TokenBucket {
  readonly #perMs: number;
  readonly #burst: number;
  readonly #clock: Clock;
  #tokens: number;
  #at: number;

  constructor({ perSecond, burst }: Rate, clock: Clock) {
    this.#perMs = perSecond / 1000;
    this.#burst = burst ?? Math.max(1, perSecond);
    this.#clock = clock;
    this.#tokens = this.#burst;
    this.#at = clock.now();
  }

  /** It comes in the place of another: what was taken from that is not there again. */
  continueFrom(before: TokenBucket): void {
    this.#tokens = Math.min(this.#burst, before.#refill());
  }

  /** It may happen now. */
  get mayTake(): boolean {
    return this.#refill() >= 1;
  }

  /** @returns whether it may happen now; then it counts */
  take(): boolean {
    if (!this.mayTake) return false;
    this.#tokens -= 1;
    return true;
  }

  /** It has happened, whether it might or not. @param count of it. @returns milliseconds until nothing is owed; 0: it might */
  spend(count: number): number {
    this.#tokens = this.#refill() - count;
    return Math.max(0, -this.#tokens / this.#perMs);
  }

  /** Nothing of what there can be has been used. */
  get isFull(): boolean {
    return this.#refill() >= this.#burst;
  }

  /** @returns how much may happen now */
  #refill(): number {
    const now = this.#clock.now();
    this.#tokens = Math.min(this.#burst, this.#tokens + (now - this.#at) * this.#perMs);
    this.#at = now;
    return this.#tokens;
  }
}

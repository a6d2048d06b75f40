/**
 * A store that lets somebody wait in vain, and has answered nothing since, lets others wait in vain, too: until it answers
 * something, one request a second is made, and the others are not.
 *
 * Times are milliseconds on the clock of all calls.
 */

const TRIED_EVERY_MS = 1000;

export class Silence {
  #isSilent = false;
  #askedAt = Number.NEGATIVE_INFINITY;

  /** @returns whether a request is made now; whoever is told so makes it */
  mayAsk(now: number): boolean {
    if (this.#isSilent && now - this.#askedAt < TRIED_EVERY_MS) return false;
    this.#askedAt = now;
    return true;
  }

  /** Nobody waits for one of its answers any longer. */
  begin(): void {
    this.#isSilent = true;
  }

  /** It answered something, however late. */
  end(): void {
    this.#isSilent = false;
  }
}

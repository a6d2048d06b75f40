/**
 * How many operations one key server has at once. It serves other edges, too, and what it has accepted it works on, whether
 * somebody still waits or not: if each edge sent all it has, a key server that is asked for more than it can do would be busy
 * with operations that are too late, and nobody would be served.
 *
 * Slow start, then additive increase and multiplicative decrease, as TCP has it (RFC 5681 §3.1): less when answers take a good
 * deal longer than the fastest do, more while they do not and more is asked for.
 */

const FIRST = 64;
/**
 * Keeps a key server busy in any case; also where this process is what is busy: answers then seem late, and there are no more
 * requests than this in each turn of its loop.
 */
const LEAST = 64;
const MOST = 65_536;
const DECREASE = 0.7;
/** After the slow start: more at once after as many answers as there are operations at once. */
const INCREASE = 8;
/** What queues, other threads and a busy loop may add to the fastest answer. */
const TOLERANCE_MS = 250;
/** The fastest answer of the last one to two of these counts: networks change. */
const WINDOW_MS = 30_000;

export class Congestion {
  #limit = FIRST;
  #isStarting = true;
  #fastestMs = Number.POSITIVE_INFINITY;
  #fastestBeforeMs = Number.POSITIVE_INFINITY;
  #windowSince = 0;
  #decreasedAt = Number.NEGATIVE_INFINITY;

  /** Operations at once, at least 64. */
  get limit(): number {
    return this.#limit;
  }

  /**
   * An answer came.
   *
   * @param ms what it took
   * @param outstanding operations there were at once
   * @param now milliseconds on the clock of all calls
   */
  record(ms: number, outstanding: number, now: number): void {
    if (now - this.#windowSince > WINDOW_MS) {
      this.#fastestBeforeMs = this.#fastestMs;
      this.#fastestMs = ms;
      this.#windowSince = now;
    } else if (ms < this.#fastestMs) this.#fastestMs = ms;
    if (this.#isLate(ms)) this.#decrease(ms, outstanding, now);
    // Several answers come at once, and only then are there more requests.
    else if (2 * outstanding >= this.#limit)
      this.#limit = Math.min(MOST, this.#limit + (this.#isStarting ? 1 : INCREASE / this.#limit));
  }

  /** An answer was not waited for any longer. See {@link record}. */
  recordMissing(ms: number, outstanding: number, now: number): void {
    if (this.#isLate(ms)) this.#decrease(ms, outstanding, now);
  }

  #isLate(ms: number): boolean {
    const fastestMs = Math.min(this.#fastestMs, this.#fastestBeforeMs);
    return ms > TOLERANCE_MS + (fastestMs === Number.POSITIVE_INFINITY ? 0 : 2 * fastestMs);
  }

  /** Once for all that was under way at that time, which knows nothing of the change yet. */
  #decrease(ms: number, outstanding: number, now: number): void {
    if (now - this.#decreasedAt < ms) return;
    this.#decreasedAt = now;
    this.#isStarting = false;
    this.#limit = Math.max(LEAST, Math.min(this.#limit, outstanding) * DECREASE);
  }
}

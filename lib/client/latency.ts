/**
 * How long one key server takes to answer: a moving average to choose by, which remembers bad answers and forgives with
 * time, and percentiles of what happened lately. Recording allocates nothing.
 */

/** Below it the network and the event loop decide, not the key server. */
const FLOOR_MS = 0.5;
/** Weight of a new answer in the average, where it is a good one. */
const WEIGHT = 0.1;
/** The average is a third of itself after so long without an answer: who was slow once is tried again. */
const FORGIVENESS_MS = 10_000;
/** Buckets of a twelfth: eight to an octave, from 2^-6 ms on, over 24 octaves. */
const PER_OCTAVE = 8;
const FIRST_OCTAVE = 6;
const BUCKETS = 24 * PER_OCTAVE;
/** Two windows are kept: the one that fills, and the one before it. */
const WINDOW_MS = 10_000;
const WINDOW_ANSWERS = 2000;

function bucketOf(ms: number): number {
  const bucket = Math.floor((Math.log2(Math.max(ms, 2 ** -FIRST_OCTAVE)) + FIRST_OCTAVE) * PER_OCTAVE);
  return Math.min(BUCKETS - 1, bucket);
}

function upperEndOf(bucket: number): number {
  return 2 ** ((bucket + 1) / PER_OCTAVE - FIRST_OCTAVE);
}

export class Latency {
  #averageMs = 0;
  #recordedAt = 0;
  #filling = new Uint32Array(BUCKETS);
  #full = new Uint32Array(BUCKETS);
  #answers = 0;
  #answersBefore = 0;
  #windowSince = 0;

  /** @param now milliseconds on the clock of all calls */
  record(ms: number, now: number): void {
    this.#average(ms, now);
    if (this.#answers >= WINDOW_ANSWERS || now - this.#windowSince > WINDOW_MS) this.#turnOver(now);
    this.#filling[bucketOf(ms)]! += 1;
    this.#answers += 1;
  }

  /**
   * Nobody waited for the answer, which came late or has not come yet: it counts for the average alone. When all key servers stall
   * for a moment, what nearly all answers keep to is still what it was.
   *
   * @param ms what it took, or takes at least
   */
  recordLate(ms: number, now: number): void {
    this.#average(ms, now);
  }

  /** To choose by; never below half a millisecond. */
  averageMs(now: number): number {
    const silence = now - this.#recordedAt;
    // Within a twentieth of its forgiveness the average is taken as it is: exp() for every choice would be for nothing.
    const faded = silence < 500 ? this.#averageMs : this.#averageMs * Math.exp(-silence / FORGIVENESS_MS);
    return Math.max(faded, FLOOR_MS);
  }

  /** Answers that the percentiles are made of. */
  get known(): number {
    return this.#answers + this.#answersBefore;
  }

  /** @param share 0 to 1; @returns milliseconds, at most a twelfth too many; `undefined`: nothing is known */
  percentileMs(share: number): number | undefined {
    let left = Math.ceil(this.known * share);
    if (left === 0) return undefined;
    for (let bucket = 0; bucket < BUCKETS; bucket += 1) {
      left -= this.#filling[bucket]! + this.#full[bucket]!;
      if (left <= 0) return upperEndOf(bucket);
    }
    return undefined;
  }

  /** Before percentiles are read that are to be of the last 10 to 20 s: whoever answers nothing turns no window over. */
  forgetOld(now: number): void {
    const since = now - this.#windowSince;
    if (since > WINDOW_MS) this.#turnOver(now);
    if (since > 2 * WINDOW_MS) this.#turnOver(now);
  }

  #average(ms: number, now: number): void {
    const average = this.averageMs(now);
    // A bad answer counts at once, good ones have to come several times.
    this.#averageMs = ms > average ? ms : average + (ms - average) * WEIGHT;
    this.#recordedAt = now;
  }

  #turnOver(now: number): void {
    const emptied = this.#full.fill(0);
    this.#full = this.#filling;
    this.#filling = emptied;
    this.#answersBefore = this.#answers;
    this.#answers = 0;
    this.#windowSince = now;
  }
}

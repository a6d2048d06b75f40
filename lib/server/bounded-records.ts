/**
 * What others can bring about as often as they like gets only so many records; the rest is counted, and summed up from time to
 * time. One key does not use up what there is for another.
 */
import type { Alarm, Clock } from '../clock.ts';
import { type Rate, TokenBucket } from './token-bucket.ts';

/** Of each key. */
const RECORDS: Rate = { perSecond: 1, burst: 100 };
const SUM_MS = 10_000;

export class BoundedRecords<Key extends string> {
  readonly #clock: Clock;
  readonly #sum: (left: ReadonlyMap<Key, number>) => void;
  /** Of keys that came lately: one with a full bucket is as good as new. */
  readonly #buckets = new Map<Key, TokenBucket>();
  readonly #left = new Map<Key, number>();
  #alarm: Alarm | undefined;

  /** @param sum is told how many of each key got no record, where some did not */
  constructor(clock: Clock, sum: (left: ReadonlyMap<Key, number>) => void) {
    this.#clock = clock;
    this.#sum = sum;
  }

  /** @returns whether it gets a record of its own */
  take(key: Key): boolean {
    this.#alarm ??= this.#clock.after(SUM_MS, () => this.#look());
    if (this.#bucketOf(key).take()) return true;
    this.#left.set(key, (this.#left.get(key) ?? 0) + 1);
    return false;
  }

  /** Sums up what has been counted. */
  close(): void {
    this.#alarm?.cancel();
    this.#sumUp();
  }

  #look(): void {
    this.#sumUp();
    for (const [key, bucket] of this.#buckets) if (bucket.isFull) this.#buckets.delete(key);
    this.#alarm = this.#buckets.size === 0 ? undefined : this.#clock.after(SUM_MS, () => this.#look());
  }

  #sumUp(): void {
    if (this.#left.size > 0) this.#sum(this.#left);
    this.#left.clear();
  }

  #bucketOf(key: Key): TokenBucket {
    let bucket = this.#buckets.get(key);
    if (bucket === undefined) {
      bucket = new TokenBucket(RECORDS, this.#clock);
      this.#buckets.set(key, bucket);
    }
    return bucket;
  }
}

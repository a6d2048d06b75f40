/** How much one client may do: of all its operations, and with each key. */
import type { Clock } from '../clock.ts';
import { type Rate, TokenBucket } from './token-bucket.ts';

export interface ClientRateOptions {
  /** Of all its operations; `undefined`: no limit. */
  readonly rate?: Rate | undefined;
  /** Of its operations with each key; `undefined`: no limit. */
  readonly ratePerKey?: Rate | undefined;
}

export class ClientRates {
  readonly #all: TokenBucket | undefined;
  readonly #perKey: Rate | undefined;
  /** No more than the keys there are: only a key that is granted and exists gets this far. */
  readonly #byKey = new Map<string, TokenBucket>();
  readonly #clock: Clock;

  constructor({ rate, ratePerKey }: ClientRateOptions, clock: Clock) {
    this.#all = rate && new TokenBucket(rate, clock);
    this.#perKey = ratePerKey;
    this.#clock = clock;
  }

  /** It comes in the place of the same client's of another policy: a new policy is no new burst. */
  continueFrom(before: ClientRates): void {
    const all = before.#all;
    if (all !== undefined) this.#all?.continueFrom(all);
    for (const [keyId, bucket] of before.#byKey) this.#ofKey(keyId)?.continueFrom(bucket);
  }

  /** @returns whether one more operation is within its rate */
  take(): boolean {
    return this.#all?.take() !== false;
  }

  /** As {@link take}, with a key: what one of the two rates refuses takes nothing from the other. @param keyId 40 hexadecimal digits */
  takeWith(keyId: string): boolean {
    const ofKey = this.#ofKey(keyId);
    return ofKey?.mayTake !== false && this.take() && ofKey?.take() !== false;
  }

  #ofKey(keyId: string): TokenBucket | undefined {
    if (this.#perKey === undefined) return undefined;
    let bucket = this.#byKey.get(keyId);
    if (bucket === undefined) {
      bucket = new TokenBucket(this.#perKey, this.#clock);
      this.#byKey.set(keyId, bucket);
    }
    return bucket;
  }
}

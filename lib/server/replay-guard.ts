/**
 * One message is signed once: whoever has recorded a handshake cannot have it signed again by asking as another edge.
 *
 * Fingerprints of 64 bits, keyed with a secret of this process, in two generations of a fixed size: what was signed is
 * remembered for one window at least and two at most, unless a generation is full before. Memory is bounded by
 * construction: 16 bytes for each of `capacity` messages, twice.
 */
import { randomFillSync } from 'node:crypto';
import type { Clock } from '../clock.ts';

const SLOT_WORDS = 2;
const FULL_SHARE = 0.5;

/** Open addressing with linear probing; both words 0: a free slot. */
class Generation {
  readonly #slots: Uint32Array;
  readonly #mask: number;
  #count = 0;

  /** @param slots a power of two */
  constructor(slots: number) {
    this.#slots = new Uint32Array(slots * SLOT_WORDS);
    this.#mask = slots - 1;
  }

  get full(): boolean {
    return this.#count >= (this.#mask + 1) * FULL_SHARE;
  }

  has(high: number, low: number): boolean {
    return this.#isAt(this.#find(high, low), high, low);
  }

  add(high: number, low: number): void {
    const slot = this.#find(high, low);
    if (this.#isAt(slot, high, low)) return;
    this.#put(slot, high, low);
    this.#count += 1;
  }

  /** Closes the gap, so that what was probed past it is found again. */
  delete(high: number, low: number): void {
    let gap = this.#find(high, low);
    if (!this.#isAt(gap, high, low)) return;
    this.#count -= 1;
    for (let slot = this.#next(gap); !this.#isFree(slot); slot = this.#next(slot)) {
      const home = this.#home(this.#slots[slot * SLOT_WORDS + 1]!);
      if (((slot - home) & this.#mask) < ((slot - gap) & this.#mask)) continue;
      this.#put(gap, this.#slots[slot * SLOT_WORDS]!, this.#slots[slot * SLOT_WORDS + 1]!);
      gap = slot;
    }
    this.#put(gap, 0, 0);
  }

  clear(): void {
    this.#slots.fill(0);
    this.#count = 0;
  }

  /** The slot that holds it, or the free one where it belongs. */
  #find(high: number, low: number): number {
    let slot = this.#home(low);
    while (!this.#isFree(slot) && !this.#isAt(slot, high, low)) slot = this.#next(slot);
    return slot;
  }

  #home(low: number): number {
    return low & this.#mask;
  }
  #next(slot: number): number {
    return (slot + 1) & this.#mask;
  }
  #isAt(slot: number, high: number, low: number): boolean {
    return this.#slots[slot * SLOT_WORDS] === high && this.#slots[slot * SLOT_WORDS + 1] === low;
  }
  #isFree(slot: number): boolean {
    return this.#isAt(slot, 0, 0);
  }
  #put(slot: number, high: number, low: number): void {
    this.#slots[slot * SLOT_WORDS] = high;
    this.#slots[slot * SLOT_WORDS + 1] = low;
  }
}

export interface ReplayGuardOptions {
  /** Messages remembered in one window, rounded up to a power of two; 16 to 2^26. */
  readonly capacity: number;
  /** Milliseconds that a message is remembered, at least. */
  readonly windowMs: number;
  readonly clock: Clock;
}

/** One signature under way, so that a failure can give its message free again. */
export interface ReplayTicket {
  /** The message was not signed after all. */
  release(): void;
}

export class ReplayGuard {
  readonly #secret = randomFillSync(new Uint32Array(4));
  readonly #windowMs: number;
  readonly #clock: Clock;
  #current: Generation;
  #previous: Generation;
  #currentSince: number;
  #shortened = 0;

  constructor({ capacity, windowMs, clock }: ReplayGuardOptions) {
    const slots = 2 ** Math.ceil(Math.log2(Math.max(16, capacity) / FULL_SHARE));
    this.#current = new Generation(slots);
    this.#previous = new Generation(slots);
    this.#windowMs = windowMs;
    this.#clock = clock;
    this.#currentSince = clock.now();
  }

  /** How often a window ended early because it was full: then `capacity` is too small for the load. */
  get shortened(): number {
    return this.#shortened;
  }

  /**
   * @param digest 16 bytes at least of a cryptographic digest of what is to be signed, and with which key
   * @returns `undefined`: it has been signed before
   */
  take(digest: Uint8Array): ReplayTicket | undefined {
    this.#turn();
    const [high, low] = this.#fingerprint(digest);
    if (this.#current.has(high, low) || this.#previous.has(high, low)) return undefined;
    const generation = this.#current;
    generation.add(high, low);
    return { release: () => generation.delete(high, low) };
  }

  /** Digests are of messages that peers choose: without the secret, two with one fingerprint cannot be looked for. */
  #fingerprint(digest: Uint8Array): [number, number] {
    const [a, b, c, d] = this.#secret as unknown as [number, number, number, number];
    const word = (at: number) =>
      digest[at]! | (digest[at + 1]! << 8) | (digest[at + 2]! << 16) | (digest[at + 3]! << 24);
    const high = Math.imul(word(0) ^ a, c | 1) ^ word(8);
    const low = Math.imul(word(4) ^ b, d | 1) ^ word(12);
    return [high >>> 0, low >>> 0 || 1];
  }

  #turn(): void {
    const now = this.#clock.now();
    const age = now - this.#currentSince;
    if (age < this.#windowMs && !this.#current.full) return;
    if (age < this.#windowMs) this.#shortened += 1;
    if (age >= 2 * this.#windowMs) this.#current.clear();
    [this.#current, this.#previous] = [this.#previous, this.#current];
    this.#current.clear();
    this.#currentSince = now;
  }
}

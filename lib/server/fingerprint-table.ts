/**
 * A set of 64-bit numbers in 8 bytes each, at three quarters full: open addressing with linear probing. Both words 0: a
 * free slot.
 */
const SLOT_WORDS = 2;
const FULL_SHARE = 0.75;
const WORD_VALUES = 2 ** 32;

export class FingerprintTable {
  readonly #capacity: number;
  readonly #slots: number;
  readonly #words: Uint32Array;
  #count = 0;

  /** @param capacity numbers at once */
  constructor(capacity: number) {
    this.#capacity = capacity;
    this.#slots = Math.ceil(capacity / FULL_SHARE) + 1;
    this.#words = new Uint32Array(this.#slots * SLOT_WORDS);
  }

  get full(): boolean {
    return this.#count >= this.#capacity;
  }

  has(high: number, low: number): boolean {
    return this.#isAt(this.#find(high, low), high, low);
  }

  /** The high words of all that have this low one. */
  *highsOf(low: number): IterableIterator<number> {
    for (let slot = this.#home(low); !this.#isAt(slot, 0, 0); slot = this.#next(slot)) {
      const at = slot * SLOT_WORDS;
      if (this.#words[at + 1] === low) yield this.#words[at]!;
    }
  }

  /** @param high and `low`: not both 0. Not to be called for what is there, nor where it is full */
  add(high: number, low: number): void {
    this.#put(this.#find(high, low), high, low);
    this.#count += 1;
  }

  /** Closes the gap, so that what was probed past it is found again. */
  delete(high: number, low: number): void {
    let gap = this.#find(high, low);
    if (!this.#isAt(gap, high, low)) return;
    this.#count -= 1;
    for (let slot = this.#next(gap); !this.#isAt(slot, 0, 0); slot = this.#next(slot)) {
      const [slotHigh, slotLow] = [this.#words[slot * SLOT_WORDS]!, this.#words[slot * SLOT_WORDS + 1]!];
      if (this.#distance(this.#home(slotLow), slot) < this.#distance(gap, slot)) continue;
      this.#put(gap, slotHigh, slotLow);
      gap = slot;
    }
    this.#put(gap, 0, 0);
  }

  /** The slot that holds it, or the free one where it belongs. */
  #find(high: number, low: number): number {
    let slot = this.#home(low);
    while (!this.#isAt(slot, 0, 0) && !this.#isAt(slot, high, low)) slot = this.#next(slot);
    return slot;
  }

  #home(low: number): number {
    return Math.floor((low / WORD_VALUES) * this.#slots);
  }
  #next(slot: number): number {
    return slot + 1 === this.#slots ? 0 : slot + 1;
  }
  #distance(from: number, to: number): number {
    return to >= from ? to - from : to - from + this.#slots;
  }
  #isAt(slot: number, high: number, low: number): boolean {
    return this.#words[slot * SLOT_WORDS] === high && this.#words[slot * SLOT_WORDS + 1] === low;
  }
  #put(slot: number, high: number, low: number): void {
    this.#words[slot * SLOT_WORDS] = high;
    this.#words[slot * SLOT_WORDS + 1] = low;
  }
}

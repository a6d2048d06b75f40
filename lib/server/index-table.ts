/**
 * Where things are, by their hashes: an index of 4 bytes for each, at three quarters full. Open addressing with linear probing;
 * what an index stands for, and its hash, its owner knows, for as long as it is here.
 */
const FULL_SHARE = 0.75;
const WORD_VALUES = 2 ** 32;
/** A free slot: what is there is one more than the index. */
const FREE = 0;
export const NONE = -1;

export class IndexTable {
  readonly #hashOf: (index: number) => number;
  readonly #size: number;
  readonly #slots: Uint32Array;

  /**
   * @param capacity indexes at once
   * @param hashOf 32 bits that nobody can choose, or many fall together
   */
  constructor(capacity: number, hashOf: (index: number) => number) {
    this.#hashOf = hashOf;
    this.#size = Math.ceil(capacity / FULL_SHARE) + 1;
    this.#slots = new Uint32Array(this.#size);
  }

  /** The slot from which on an index of this hash is, before the first that has {@link NONE}. */
  home(hash: number): number {
    return Math.floor((hash / WORD_VALUES) * this.#size);
  }

  next(slot: number): number {
    return slot + 1 === this.#size ? 0 : slot + 1;
  }

  at(slot: number): number {
    return this.#slots[slot]! - 1;
  }

  /** Not to be called for what is there, nor where there are as many as there can be. */
  add(index: number): void {
    this.#slots[this.#find(FREE, this.#hashOf(index))] = index + 1;
  }

  /** Of what is there. Closes the gap, so that what was probed past it is found again. */
  delete(index: number): void {
    let gap = this.#find(index + 1, this.#hashOf(index));
    for (let slot = this.next(gap); this.#slots[slot] !== FREE; slot = this.next(slot)) {
      const home = this.home(this.#hashOf(this.at(slot)));
      if (this.#distance(home, slot) < this.#distance(gap, slot)) continue;
      this.#slots[gap] = this.#slots[slot]!;
      gap = slot;
    }
    this.#slots[gap] = FREE;
  }

  #find(content: number, hash: number): number {
    let slot = this.home(hash);
    while (this.#slots[slot] !== content) slot = this.next(slot);
    return slot;
  }

  #distance(from: number, to: number): number {
    return to >= from ? to - from : to - from + this.#size;
  }
}

/**
 * Frames that leave in one write, encoded side by side in one piece of memory: an allocation for dozens of frames, not
 * one for each, and no copy to put them together.
 */
import { frameBytes, writeFrame } from './frame-encoder.ts';
import type { Items } from './tags.ts';

const SLAB_BYTES = 16_384;
const NO_BYTES = Buffer.alloc(0);

export class FrameBatch {
  /** Zeroed, and each byte of it is written once: what has been handed out is never written to again. */
  #slab: Buffer = NO_BYTES;
  /** Where the frames that wait begin and end. */
  #start = 0;
  #end = 0;
  /** Full slabs whose frames wait. */
  #earlier: Buffer[] = [];

  get isEmpty(): boolean {
    return this.#end === this.#start && this.#earlier.length === 0;
  }

  /** See {@link writeFrame} for the parameters. @throws ERR_KEYLESS_INVALID_ARGUMENT, and nothing is added */
  add(id: number, items: Items): void {
    const total = frameBytes(items);
    if (this.#end + total > this.#slab.length) this.#startSlab(total);
    writeFrame(this.#slab, this.#end, total, id, items);
    this.#end += total;
  }

  /** @returns the frames that wait, in order; empty: none does */
  take(): Buffer {
    const last = this.#slab.subarray(this.#start, this.#end);
    this.#start = this.#end;
    if (this.#earlier.length === 0) return last;
    const all = [...this.#earlier, last];
    this.#earlier = [];
    return Buffer.concat(all);
  }

  #startSlab(total: number): void {
    if (this.#end > this.#start) this.#earlier.push(this.#slab.subarray(this.#start, this.#end));
    this.#slab = Buffer.alloc(Math.max(SLAB_BYTES, total));
    this.#start = 0;
    this.#end = 0;
  }
}

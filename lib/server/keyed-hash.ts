/**
 * SipHash-2-4 (Aumasson and Bernstein, 2012) with a secret of this process: where a table is filled with what peers choose, they
 * cannot choose what falls together in it. 64 bits in two words, by 32-bit arithmetic: BigInt would cost fifty times as much.
 */
import { randomBytes } from 'node:crypto';

const KEY_BYTES = 16;
const BLOCK_BYTES = 8;
const [BLOCK_ROUNDS, LAST_ROUNDS] = [2, 4] as const;
/** Of the fourth word of the state before the last rounds, and which ones those are. */
const LAST = 0xff;

function word(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}

/** The sum's low halves have overflowed: 1, else 0. */
function carry(sum: number, part: number): number {
  return sum >>> 0 < part >>> 0 ? 1 : 0;
}

export class KeyedHash {
  readonly #key: Int32Array;
  /** The end of the bytes, up to a whole block, and their number. */
  readonly #tail = new Uint8Array(BLOCK_BYTES);
  /** Of the last bytes that were hashed, 0 to 2^32 - 1 each: a pair would be an object for each of them. */
  high = 0;
  low = 0;

  /** @param key 16 bytes; for tests */
  constructor(key: Uint8Array = randomBytes(KEY_BYTES)) {
    this.#key = Int32Array.from([0, 4, 8, 12], (at) => word(key, at));
  }

  /** Hashes `bytes` from `start` on, up to `end`, into `high` and `low`. */
  hash(bytes: Uint8Array, start = 0, end = bytes.length): void {
    const [k0, k1, k2, k3] = this.#key as unknown as [number, number, number, number];
    let [al, ah, bl, bh] = [k0 ^ 0x70736575, k1 ^ 0x736f6d65, k2 ^ 0x6e646f6d, k3 ^ 0x646f7261];
    let [cl, ch, dl, dh] = [k0 ^ 0x6e657261, k1 ^ 0x6c796765, k2 ^ 0x79746573, k3 ^ 0x74656462];
    const blocks = (end - start) >>> 3;
    this.#fillTail(bytes, start + blocks * BLOCK_BYTES, end, end - start);
    for (let block = 0; block <= blocks + 1; block += 1) {
      const isLast = block > blocks;
      let [ml, mh] = [0, 0];
      if (block < blocks) {
        ml = word(bytes, start + block * BLOCK_BYTES);
        mh = word(bytes, start + block * BLOCK_BYTES + 4);
      } else if (isLast) {
        cl ^= LAST;
      } else {
        ml = word(this.#tail, 0);
        mh = word(this.#tail, 4);
      }
      dl ^= ml;
      dh ^= mh;
      for (let rounds = isLast ? LAST_ROUNDS : BLOCK_ROUNDS; rounds > 0; rounds -= 1) {
        // a += b, b <<<= 13, b ^= a, a <<<= 32
        let low = (al + bl) | 0;
        let high = (ah + bh + carry(low, bl)) | 0;
        let turned = (bl << 13) | (bh >>> 19);
        bh = ((bh << 13) | (bl >>> 19)) ^ high;
        bl = turned ^ low;
        al = high;
        ah = low;
        // c += d, d <<<= 16, d ^= c
        low = (cl + dl) | 0;
        high = (ch + dh + carry(low, dl)) | 0;
        turned = (dl << 16) | (dh >>> 16);
        dh = ((dh << 16) | (dl >>> 16)) ^ high;
        dl = turned ^ low;
        cl = low;
        ch = high;
        // a += d, d <<<= 21, d ^= a
        low = (al + dl) | 0;
        ah = (ah + dh + carry(low, dl)) | 0;
        al = low;
        turned = (dl << 21) | (dh >>> 11);
        dh = ((dh << 21) | (dl >>> 11)) ^ ah;
        dl = turned ^ al;
        // c += b, b <<<= 17, b ^= c, c <<<= 32
        low = (cl + bl) | 0;
        high = (ch + bh + carry(low, bl)) | 0;
        turned = (bl << 17) | (bh >>> 15);
        bh = ((bh << 17) | (bl >>> 15)) ^ high;
        bl = turned ^ low;
        cl = high;
        ch = low;
      }
      al ^= ml;
      ah ^= mh;
    }
    this.high = (ah ^ bh ^ ch ^ dh) >>> 0;
    this.low = (al ^ bl ^ cl ^ dl) >>> 0;
  }

  #fillTail(bytes: Uint8Array, from: number, end: number, length: number): void {
    this.#tail.fill(0);
    for (let at = from; at < end; at += 1) this.#tail[at - from] = bytes[at]!;
    this.#tail[BLOCK_BYTES - 1] = length;
  }
}

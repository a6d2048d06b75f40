/**
 * The signatures of the last seconds: who asks for one again, because its connection was lost with the answer, gets the one
 * that was made for it. They are no secrets, and are kept in this memory only, until their place is needed.
 *
 * Bounded by construction: pages of one buffer. Each client fills its own; where there is none left, the client with the most
 * gives up its oldest, so that a flood makes the key server forget what it signed for the flood. Where each is, is written down
 * when its client asks for one again, and not before: few ever are.
 */
import type { Clock } from '../clock.ts';
import { IndexTable, NONE } from './index-table.ts';
import { KeyedHash } from './keyed-hash.ts';
import type { RequestName } from './request-name.ts';

/** Longer than an edge waits for an operation, whatever it tries meanwhile: 10 s by default. */
const KEPT_MS = 15_000;
/** 26 signatures of P-256, or 12 of RSA-2048. */
const PAGE_BYTES = 4096;
/** 4 MiB: of P-256 1,700 a second in all of that time. */
const PAGES = 1024;
/** Of a record: when it was made, bytes of the name and of the signature, its tag if it has a place. Then those two, up to a whole word. */
const HEADER_WORDS = 3;
const HEADER_BYTES = 12;
const PAGE_WORDS = PAGE_BYTES / 4;
/** Of a record, so that there are places for as many as there can be. */
const MIN_WORDS = 16;

export interface RecentSignaturesOptions {
  readonly clock: Clock;
  /** Of 4 KiB each, 1 to 2^18. */
  readonly pages?: number | undefined;
}

export class RecentSignatures {
  readonly #clock: Clock;
  /** Of names: peers choose what they have signed. */
  readonly #hash = new KeyedHash();
  readonly #bytes: Buffer;
  readonly #words: Uint32Array;
  /** Of each page: the words in use, those of them that have places, when the last was written, for whom. */
  readonly #used: Uint16Array;
  readonly #placed: Uint16Array;
  readonly #newestAt: Float64Array;
  readonly #owners: string[] = [];
  readonly #free: number[];
  /** The pages of each client, the oldest first; the last one takes what comes. */
  readonly #clients = new Map<string, number[]>();
  /** Where each record begins, by its tag. */
  readonly #places: IndexTable;

  constructor({ clock, pages = PAGES }: RecentSignaturesOptions) {
    this.#clock = clock;
    // Straight from the system, which takes the memory from nobody before it is written to.
    this.#bytes = Buffer.allocUnsafeSlow(pages * PAGE_BYTES);
    this.#words = new Uint32Array(this.#bytes.buffer);
    this.#used = new Uint16Array(pages);
    this.#placed = new Uint16Array(pages);
    this.#newestAt = new Float64Array(pages);
    this.#free = Array.from({ length: pages }, (_, at) => pages - 1 - at);
    this.#places = new IndexTable(pages * (PAGE_WORDS / MIN_WORDS), (at) => this.#words[at + 2]!);
  }

  /** What is longer than a page is not kept. */
  keep(name: RequestName, client: string, signature: Uint8Array): void {
    const words = wordsOf(name.length, signature.length);
    if (words > PAGE_WORDS) return;
    const now = this.#clock.now();
    const page = this.#pageFor(client, words, now);
    const at = page * PAGE_WORDS + this.#used[page]!;
    this.#words[at] = now;
    this.#words[at + 1] = (name.length << 16) | signature.length;
    const start = at * 4 + HEADER_BYTES;
    name.write(this.#bytes, start);
    this.#bytes.set(signature, start + name.length);
    this.#used[page]! += words;
    this.#newestAt[page] = now;
  }

  /** @returns what was signed for the same request of the same client; `undefined`: nothing, or it is too long ago */
  find(name: RequestName, client: string): Uint8Array | undefined {
    const bytes = name.bytes();
    const now = this.#clock.now();
    this.#placeAll(this.#clients.get(client) ?? []);
    const [tag, places] = [this.#tag(bytes, 0, bytes.length), this.#places];
    for (let slot = places.home(tag); places.at(slot) !== NONE; slot = places.next(slot)) {
      const at = places.at(slot);
      if (this.#words[at + 2] !== tag) continue;
      const isRecent = (now - this.#words[at]!) >>> 0 <= KEPT_MS;
      if (!isRecent || this.#owners[Math.floor(at / PAGE_WORDS)] !== client) continue;
      const sizes = this.#words[at + 1]!;
      const start = at * 4 + HEADER_BYTES;
      const end = start + (sizes >>> 16);
      // A copy: the place may be another's before the answer has left.
      if (this.#bytes.subarray(start, end).equals(bytes))
        return Buffer.from(this.#bytes.subarray(end, end + (sizes & 0xffff)));
    }
    return undefined;
  }

  #tag(bytes: Uint8Array, start: number, end: number): number {
    this.#hash.hash(bytes, start, end);
    return this.#hash.low;
  }

  /** @returns the client's last one, which has room */
  #pageFor(client: string, words: number, now: number): number {
    const last = this.#clients.get(client)?.at(-1);
    if (last !== undefined && this.#used[last]! + words <= PAGE_WORDS) return last;
    const page = this.#free.pop() ?? this.#makeRoom(now);
    this.#used[page] = 0;
    this.#placed[page] = 0;
    this.#owners[page] = client;
    // It may have been the one that had to give up its last.
    const pages = this.#clients.get(client);
    if (pages === undefined) this.#clients.set(client, [page]);
    else pages.push(page);
    return page;
  }

  #makeRoom(now: number): number {
    let [name, most]: [string, readonly number[]] = ['', []];
    for (const [client, pages] of this.#clients) {
      while (pages.length > 0 && now - this.#newestAt[pages[0]!]! > KEPT_MS) this.#forgetFirst(client, pages);
      if (pages.length > most.length) [name, most] = [client, pages];
    }
    if (this.#free.length === 0) this.#forgetFirst(name, this.#clients.get(name)!);
    return this.#free.pop()!;
  }

  #forgetFirst(client: string, pages: number[]): void {
    const page = pages.shift()!;
    const end = page * PAGE_WORDS + this.#placed[page]!;
    for (let at = page * PAGE_WORDS; at < end; at = this.#after(at)) this.#places.delete(at);
    this.#free.push(page);
    if (pages.length === 0) this.#clients.delete(client);
  }

  /** From the newest on: before a page that has all of its places, all have. */
  #placeAll(pages: readonly number[]): void {
    for (let at = pages.length - 1; at >= 0; at -= 1) {
      const page = pages[at]!;
      if (this.#placed[page] === this.#used[page]) return;
      this.#place(page);
    }
  }

  #place(page: number): void {
    const end = page * PAGE_WORDS + this.#used[page]!;
    for (let at = page * PAGE_WORDS + this.#placed[page]!; at < end; at = this.#after(at)) {
      const start = at * 4 + HEADER_BYTES;
      this.#words[at + 2] = this.#tag(this.#bytes, start, start + (this.#words[at + 1]! >>> 16));
      this.#places.add(at);
    }
    this.#placed[page] = this.#used[page]!;
  }

  /** @returns where the next record begins */
  #after(at: number): number {
    const sizes = this.#words[at + 1]!;
    return at + wordsOf(sizes >>> 16, sizes & 0xffff);
  }
}

/** Of a record. */
function wordsOf(nameBytes: number, signatureBytes: number): number {
  return Math.max(MIN_WORDS, HEADER_WORDS + ((nameBytes + signatureBytes + 3) >>> 2));
}

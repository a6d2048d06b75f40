/**
 * One message is signed once: whoever has recorded a handshake cannot have it signed again by asking as another edge. It is
 * known by one digest or several (signed-digests.ts).
 *
 * Fingerprints of 64 bits, keyed with a secret of this process: in blocks, in the order in which each client had them signed, and
 * a table of where they are. Where there is no room for another, the client with the most loses its oldest
 * block: a flood makes the key server forget what it signed for the flood, and of nobody else more than its part. Memory is
 * bounded by construction: 14 bytes for each of `capacity` digests.
 */
import type { Clock } from '../clock.ts';
import { DIGEST_BYTES } from '../protocol/digests.ts';
import { serverReplayWindow } from './channels.ts';
import { IndexTable, NONE } from './index-table.ts';
import { KeyedHash } from './keyed-hash.ts';

/** Of a fingerprint. */
const WORDS = 2;
/** Digests of a block. */
const MAX_BLOCK_SIZE = 128;
/** Blocks in the whole memory, at least: what is forgotten early is a small part of it. */
const MIN_BLOCKS = 16;
/** Beside those that all digests fill, so that clients with few of them have theirs. */
const MORE_BLOCKS = 8192;
/** Looks for what is old so many times in a window. */
const LOOKS = 600;
/** Where there is more, forgets so many blocks in a millisecond: a tenth of it, and several times what can come meanwhile. */
const BLOCKS_AT_ONCE = 8;
const REST_MS = 1;
/** Of one message. */
const MAX_DIGESTS = Object.keys(DIGEST_BYTES).length + 1;
/** Tells so many times in a window at most that it is shorter. */
const TELLS = 10;

export interface ReplayGuardOptions {
  /** Digests remembered, 16 to 2^26. */
  readonly capacity: number;
  /** Milliseconds that a message is remembered, at least, if there is room. */
  readonly windowMs: number;
  readonly clock: Clock;
}

/** One signature under way, so that a failure can give its message free again. */
export interface ReplayTicket {
  /** The message was not signed after all. */
  release(): void;
}

/** Digests of one client's messages that came one after the other. */
interface Block {
  /** Of its first one. */
  readonly start: number;
  readonly since: number;
  newestAt: number;
  count: number;
  forgotten: boolean;
}

/** Its members are `private` to TypeScript only: every operation makes one, and Node 20 is slow with `#` methods. */
class Kept implements ReplayTicket {
  private readonly forget: (index: number) => void;
  private readonly block: Block;
  private readonly index: number;
  /** Of the same message. */
  private readonly before: Kept | undefined;

  constructor(forget: (index: number) => void, block: Block, index: number, before: Kept | undefined) {
    this.forget = forget;
    this.block = block;
    this.index = index;
    this.before = before;
  }

  release(): void {
    this.before?.release();
    if (!this.block.forgotten) this.forget(this.index);
  }
}

export class ReplayGuard {
  /** Digests are of messages that peers choose, or their own choice: they see to it neither that two are taken for one, nor where one is kept. */
  readonly #hash = new KeyedHash();
  /** Of what is asked for now. */
  readonly #fingerprints = new Uint32Array(MAX_DIGESTS * WORDS);
  readonly #windowMs: number;
  readonly #clock: Clock;
  readonly #capacity: number;
  readonly #blockSize: number;
  /** Fingerprints, by index: high and low word. Both 0: there is none, or none any more. */
  readonly #words: Uint32Array;
  /** Where each is, by its low word. */
  readonly #table: IndexTable;
  #count = 0;
  /** Where blocks may begin: those that were given up, and from which on none has been. */
  readonly #freeStarts: number[] = [];
  #unusedFrom = 0;
  /** By client, the oldest block first; the last one takes what comes. */
  readonly #clients = new Map<string, Block[]>();
  #lookAt: number;
  #shortest = Number.POSITIVE_INFINITY;
  #shortestAt = 0;
  #toldAt = Number.NEGATIVE_INFINITY;

  constructor({ capacity, windowMs, clock }: ReplayGuardOptions) {
    const size = Math.max(16, capacity);
    this.#capacity = size;
    this.#blockSize = Math.min(MAX_BLOCK_SIZE, Math.floor(size / MIN_BLOCKS));
    const blocks = Math.ceil(size / this.#blockSize) + MORE_BLOCKS;
    // The system gives no memory before it is written to.
    this.#words = new Uint32Array(blocks * this.#blockSize * WORDS);
    this.#table = new IndexTable(size, (index) => this.#words[index * WORDS + 1]!);
    this.#windowMs = windowMs;
    this.#clock = clock;
    this.#lookAt = clock.now();
  }

  /** Milliseconds that messages were remembered at least, in the last window: shorter where there was no room for more. */
  get windowMs(): number {
    const isOver = this.#clock.now() - this.#shortestAt >= this.#windowMs;
    return isOver ? this.#windowMs : Math.min(this.#windowMs, this.#shortest);
  }

  /**
   * @param digests of what is to be signed, by different hashes
   * @param client for whom
   * @returns `undefined`: one of them has been signed before, for whomever
   */
  take(digests: readonly Uint8Array[], client: string): ReplayTicket | undefined {
    const now = this.#clock.now();
    if (now >= this.#lookAt) this.#forgetOld(now);
    for (let at = 0; at < digests.length; at += 1) {
      this.#hash.hash(digests[at]!);
      const [high, low] = [this.#hash.high, this.#hash.low || 1];
      if (this.#has(high, low)) return undefined;
      this.#fingerprints[at * WORDS] = high;
      this.#fingerprints[at * WORDS + 1] = low;
    }
    let kept: Kept | undefined;
    for (let at = 0; at < digests.length; at += 1) kept = this.#keep(at, client, now, kept);
    return kept;
  }

  #has(high: number, low: number): boolean {
    const [table, words] = [this.#table, this.#words];
    for (let slot = table.home(low); ; slot = table.next(slot)) {
      const index = table.at(slot);
      if (index === NONE) return false;
      if (words[index * WORDS + 1] === low && words[index * WORDS] === high) return true;
    }
  }

  /** @param which of the fingerprints */
  #keep(which: number, client: string, now: number, before: Kept | undefined): Kept {
    while (this.#count >= this.#capacity) this.#makeRoom(now);
    const block = this.#blockOf(client, now);
    const index = block.start + block.count;
    this.#words[index * WORDS] = this.#fingerprints[which * WORDS]!;
    this.#words[index * WORDS + 1] = this.#fingerprints[which * WORDS + 1]!;
    this.#table.add(index);
    this.#count += 1;
    block.count += 1;
    block.newestAt = now;
    return new Kept(this.#forget, block, index, before);
  }

  /** Once: what was given free is not there any more. */
  readonly #forget = (index: number): void => {
    if (this.#words[index * WORDS + 1] === 0) return;
    this.#table.delete(index);
    this.#words.fill(0, index * WORDS, (index + 1) * WORDS);
    this.#count -= 1;
  };

  /** Where the client's next message goes. */
  #blockOf(client: string, now: number): Block {
    const blocks = this.#clients.get(client) ?? [];
    const last = blocks.at(-1);
    if (last !== undefined && last.count < this.#blockSize && now - last.since < this.#windowMs) return last;
    const block = { start: this.#newStart(now), since: now, newestAt: now, count: 0, forgotten: false };
    // It may have been the one that had to give up its last.
    this.#clients.set(client, blocks);
    blocks.push(block);
    return block;
  }

  #newStart(now: number): number {
    if (this.#freeStarts.length === 0 && this.#unusedFrom * WORDS === this.#words.length) this.#makeRoom(now);
    const free = this.#freeStarts.pop();
    if (free !== undefined) return free;
    const start = this.#unusedFrom;
    this.#unusedFrom += this.#blockSize;
    return start;
  }

  #forgetOld(now: number): void {
    this.#lookAt = now + this.#windowMs / LOOKS;
    let forgotten = 0;
    for (const [client, blocks] of this.#clients) {
      while (blocks.length > 0 && now - blocks[0]!.newestAt > this.#windowMs) {
        if (forgotten === BLOCKS_AT_ONCE) {
          this.#lookAt = now + REST_MS;
          return;
        }
        this.#forgetFirst(client, blocks);
        forgotten += 1;
      }
    }
  }

  #forgetFirst(client: string, blocks: Block[]): Block {
    const block = blocks.shift()!;
    block.forgotten = true;
    for (let at = 0; at < block.count; at += 1) this.#forget(block.start + at);
    this.#freeStarts.push(block.start);
    if (blocks.length === 0) this.#clients.delete(client);
    return block;
  }

  #makeRoom(now: number): void {
    let [name, most]: [string, Block[]] = ['', []];
    for (const [client, blocks] of this.#clients) {
      if (blocks.length > most.length) [name, most] = [client, blocks];
      if (now - blocks[0]!.newestAt <= this.#windowMs) continue;
      // What is old goes first, whosever it is.
      [name, most] = [client, blocks];
      break;
    }
    const { newestAt } = this.#forgetFirst(name, most);
    const keptMs = now - newestAt;
    if (keptMs >= this.#windowMs) return;
    if (keptMs < this.#shortest || now - this.#shortestAt >= this.#windowMs) {
      this.#shortest = keptMs;
      this.#shortestAt = now;
    }
    this.#tell(name, keptMs, now);
  }

  #tell(fingerprint: string, windowMs: number, now: number): void {
    if (now - this.#toldAt < this.#windowMs / TELLS) return;
    this.#toldAt = now;
    if (serverReplayWindow.hasSubscribers) serverReplayWindow.publish({ fingerprint, windowMs });
  }
}

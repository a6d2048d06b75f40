/**
 * One message is signed once: whoever has recorded a handshake cannot have it signed again by asking as another edge. It is
 * known by one digest or several (signed-digests.ts).
 *
 * Fingerprints of 64 bits, keyed with a secret of this process: in one table, where they are looked for, and in blocks in the
 * order in which each client had them signed. Where there is no room for another, the client with the most loses its oldest
 * block: a flood makes the key server forget what it signed for the flood, and of nobody else more than its part. Memory is
 * bounded by construction: 19 bytes for each of `capacity` digests.
 */
import type { Clock } from '../clock.ts';
import { DIGEST_BYTES } from '../protocol/digests.ts';
import { serverReplayWindow } from './channels.ts';
import { FingerprintTable } from './fingerprint-table.ts';
import { KeyedHash } from './keyed-hash.ts';

const BLOCK_WORDS = 2;
const MAX_BLOCK_SIZE = 256;
/** Blocks in the whole memory, at least: what is forgotten early is a small part of it. */
const MIN_BLOCKS = 16;
/** Looks for what is old so many times in a window. */
const LOOKS = 600;
/** Where there is more, forgets so many blocks in a millisecond: a tenth of it, and several times what can come meanwhile. */
const BLOCKS_AT_ONCE = 4;
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
  readonly words: Uint32Array;
  readonly since: number;
  newestAt: number;
  count: number;
  forgotten: boolean;
}

/** Its members are `private` to TypeScript only: every operation makes one, and Node 20 is slow with `#` methods. */
class Kept implements ReplayTicket {
  private readonly table: FingerprintTable;
  private readonly block: Block;
  private readonly at: number;
  /** Of the same message. */
  private readonly before: Kept | undefined;
  private readonly low: number;

  constructor(table: FingerprintTable, block: Block, at: number, before: Kept | undefined) {
    this.table = table;
    this.block = block;
    this.at = at;
    this.before = before;
    this.low = block.words[at + 1]!;
  }

  release(): void {
    this.before?.release();
    const { block, at, low } = this;
    if (block.forgotten || block.words[at + 1] !== low) return;
    this.table.delete(block.words[at]!, low);
    block.words.fill(0, at, at + BLOCK_WORDS);
  }
}

export class ReplayGuard {
  /** Digests are of messages that peers choose, or their own choice: they see to it neither that two are taken for one, nor where one is kept. */
  readonly #hash = new KeyedHash();
  /** Of what is asked for now. */
  readonly #fingerprints = new Uint32Array(MAX_DIGESTS * BLOCK_WORDS);
  readonly #windowMs: number;
  readonly #clock: Clock;
  readonly #table: FingerprintTable;
  readonly #blockSize: number;
  /** By client, the oldest block first; the last one takes what comes. */
  readonly #clients = new Map<string, Block[]>();
  #lookAt: number;
  #shortest = Number.POSITIVE_INFINITY;
  #shortestAt = 0;
  #toldAt = Number.NEGATIVE_INFINITY;

  constructor({ capacity, windowMs, clock }: ReplayGuardOptions) {
    const size = Math.max(16, capacity);
    this.#table = new FingerprintTable(size);
    this.#blockSize = Math.min(MAX_BLOCK_SIZE, Math.floor(size / MIN_BLOCKS));
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
    const words = digests.length * BLOCK_WORDS;
    for (let at = 0; at < words; at += BLOCK_WORDS) {
      this.#hash.hash(digests[at / BLOCK_WORDS]!);
      this.#fingerprints[at] = this.#hash.high;
      // Both words 0 is what is not there.
      this.#fingerprints[at + 1] = this.#hash.low || 1;
      if (this.#table.has(this.#fingerprints[at]!, this.#fingerprints[at + 1]!)) return undefined;
    }
    let kept: Kept | undefined;
    for (let at = 0; at < words; at += BLOCK_WORDS) kept = this.#keep(at, client, now, kept);
    return kept;
  }

  /** @param from of its fingerprint */
  #keep(from: number, client: string, now: number, before: Kept | undefined): Kept {
    while (this.#table.full) this.#makeRoom(now);
    const [high, low] = [this.#fingerprints[from]!, this.#fingerprints[from + 1]!];
    this.#table.add(high, low);
    const block = this.#blockOf(client, now);
    const at = block.count * BLOCK_WORDS;
    block.words[at] = high;
    block.words[at + 1] = low;
    block.count += 1;
    block.newestAt = now;
    return new Kept(this.#table, block, at, before);
  }

  /** Where the client's next message goes. */
  #blockOf(client: string, now: number): Block {
    let blocks = this.#clients.get(client);
    if (blocks === undefined) {
      blocks = [];
      this.#clients.set(client, blocks);
    }
    const last = blocks.at(-1);
    if (last !== undefined && last.count < this.#blockSize && now - last.since < this.#windowMs) return last;
    const words = new Uint32Array(this.#blockSize * BLOCK_WORDS);
    const block = { words, since: now, newestAt: now, count: 0, forgotten: false };
    blocks.push(block);
    return block;
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
    for (let at = 0; at < block.count * BLOCK_WORDS; at += BLOCK_WORDS)
      this.#table.delete(block.words[at]!, block.words[at + 1]!);
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

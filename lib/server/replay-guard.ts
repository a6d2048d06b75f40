/**
 * One message is signed once: whoever has recorded a handshake cannot have it signed again by asking as another edge. It is
 * known by one digest or several (signed-digests.ts).
 *
 * Fingerprints of 64 bits, keyed with a secret of this process: in one table, where they are looked for, and in blocks in the
 * order in which each client had them signed. Where there is no room for another, the client with the most loses its oldest
 * block: a flood makes the key server forget what it signed for the flood, and of nobody else more than its part. Memory is
 * bounded by construction: 19 bytes for each of `capacity` digests.
 */
import { randomFillSync } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { serverReplayWindow } from './channels.ts';
import { FingerprintTable } from './fingerprint-table.ts';

const BLOCK_WORDS = 2;
const MAX_BLOCK_SIZE = 256;
/** Blocks in the whole memory, at least: what is forgotten early is a small part of it. */
const MIN_BLOCKS = 16;
/** Looks for what is old so many times in a window, and forgets so many blocks at once: about a millisecond. */
const LOOKS = 600;
const BLOCKS_AT_ONCE = 32;
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

export class ReplayGuard {
  readonly #secret = randomFillSync(new Uint32Array(4));
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
   * @param digests of what is to be signed, by different hashes; of each 16 bytes at least
   * @param client for whom
   * @returns `undefined`: one of them has been signed before, for whomever
   */
  take(digests: readonly Uint8Array[], client: string): ReplayTicket | undefined {
    const now = this.#clock.now();
    if (now >= this.#lookAt) this.#forgetOld(now);
    const fingerprints = digests.map((digest) => this.#fingerprint(digest));
    if (fingerprints.some(([high, low]) => this.#table.has(high, low))) return undefined;
    const kept = fingerprints.map(([high, low]) => this.#keep(high, low, client, now));
    return {
      release() {
        for (const each of kept) each.release();
      },
    };
  }

  #keep(high: number, low: number, client: string, now: number): ReplayTicket {
    while (this.#table.full) this.#makeRoom(now);
    this.#table.add(high, low);
    const block = this.#blockOf(client, now);
    const at = block.count * BLOCK_WORDS;
    block.words[at] = high;
    block.words[at + 1] = low;
    block.count += 1;
    block.newestAt = now;
    return {
      release: () => {
        if (block.forgotten || block.words[at + 1] !== low) return;
        block.words.fill(0, at, at + BLOCK_WORDS);
        this.#table.delete(high, low);
      },
    };
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
          this.#lookAt = now;
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
    for (const [client, blocks] of this.#clients)
      if (blocks.length > most.length) [name, most] = [client, blocks];
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

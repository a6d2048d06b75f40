/** Where sealed sessions lie: in this process, or in Redis or Valkey. Neither can read them. */
import type { Clock } from '../clock.ts';
import { MAX_SEALED_BYTES } from './sealed-session.ts';

export interface SessionBackend {
  /** @returns `undefined`: there is none */
  get(name: string): Promise<Buffer | undefined>;
  set(name: string, sealed: Buffer, ttlMs: number): Promise<void>;
}

/** The part of a client of the package `redis` (version 6) that is used; connected by whoever made it. */
export interface RedisClient {
  readonly isReady: boolean;
  /** The characters from `start` to `end`, both included; an empty text or `null` where there is no entry. */
  getRange(key: string, start: number, end: number): Promise<string | null>;
  set(key: string, value: string, options: { expiration: { type: 'PX'; value: number } }): Promise<unknown>;
}

/** In base64. */
const MAX_SEALED_CHARACTERS = Math.ceil(MAX_SEALED_BYTES / 3) * 4;

/** The least recently used go first. */
export class MemorySessions implements SessionBackend {
  readonly #entries = new Map<string, { readonly sealed: Buffer; readonly expiresAt: number }>();
  readonly #maxEntries: number;
  readonly #clock: Clock;

  constructor(maxEntries: number, clock: Clock) {
    this.#maxEntries = maxEntries;
    this.#clock = clock;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(name: string): Promise<Buffer | undefined> {
    const entry = this.#entries.get(name);
    this.#entries.delete(name);
    if (entry === undefined || entry.expiresAt <= this.#clock.now()) return Promise.resolve(undefined);
    this.#entries.set(name, entry);
    return Promise.resolve(entry.sealed);
  }

  set(name: string, sealed: Buffer, ttlMs: number): Promise<void> {
    this.#entries.delete(name);
    this.#entries.set(name, { sealed, expiresAt: this.#clock.now() + ttlMs });
    const [oldest] = this.#entries.keys();
    if (this.#entries.size > this.#maxEntries) this.#entries.delete(oldest!);
    return Promise.resolve();
  }
}

export class RedisSessions implements SessionBackend {
  readonly #client: RedisClient;
  readonly #prefix: string;

  constructor(client: RedisClient, prefix: string) {
    this.#client = client;
    this.#prefix = prefix;
  }

  async get(name: string): Promise<Buffer | undefined> {
    this.#requireReady();
    // Anybody may have put there whatever Redis takes, half a gigabyte: no more is asked for than an entry of ours has, and
    // one character, which tells that it is none.
    const found = await this.#client.getRange(this.#prefix + name, 0, MAX_SEALED_CHARACTERS);
    const text = String(found ?? '');
    if (text.length === 0 || text.length > MAX_SEALED_CHARACTERS) return undefined;
    return Buffer.from(text, 'base64');
  }

  async set(name: string, sealed: Buffer, ttlMs: number): Promise<void> {
    this.#requireReady();
    const expiration = { type: 'PX', value: ttlMs } as const;
    await this.#client.set(this.#prefix + name, sealed.toString('base64'), { expiration });
  }

  /** Commands for a client that is not connected would queue without a bound. */
  #requireReady(): void {
    if (!this.#client.isReady) throw new Error('The client of Redis is not connected.');
  }
}

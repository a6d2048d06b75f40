/**
 * Sessions that lie on the server, shared by the edges of a fleet: those that clients resume by id (TLS 1.2, RFC 5246
 * §7.4.1.2), and those whose tickets are nothing but an id (TLS 1.3 without tickets that hold a session, RFC 8446 §4.6.1).
 * Clients that take tickets of the other kind have no need of it.
 *
 * A store that is slow, gone or lies costs a full handshake and nothing more.
 */
import type { Server } from 'node:tls';
import { type Clock, systemClock } from '../clock.ts';
import { asksByIdentity } from '../engine/session-identity.ts';
import { serverInternals } from '../engine/tls-handle.ts';
import { KeylessError } from '../errors.ts';
import { patience } from '../patience.ts';
import { INTEGER, readElement, SEQUENCE } from '../protocol/der.ts';
import { openSession, sealSession, sessionName } from './sealed-session.ts';
import { MemorySessions, type RedisClient, RedisSessions, type SessionBackend } from './session-backends.ts';
import { Silence } from './silence.ts';
import type { TicketLease } from './ticket-lease.ts';

export interface SessionStoreOptions {
  /** Whose keys seal the sessions; the servers that use the store use the lease too. */
  readonly lease: TicketLease;
  /** A connected client of the package `redis`, for Redis or Valkey; `undefined`: the memory of this process. */
  readonly redis?: RedisClient | undefined;
  /** Of the keys in Redis; default `keyless-tls:session:`. */
  readonly prefix?: string | undefined;
  /** Sessions in memory, about 1 KiB each, 1 to 10,000,000; default 20,000. */
  readonly maxEntries?: number | undefined;
  /** Milliseconds that a handshake waits for the store; default 100. */
  readonly timeoutMs?: number | undefined;
  /** For tests. */
  readonly clock?: Clock | undefined;
}

export interface SessionStoreStats {
  readonly stored: number;
  readonly found: number;
  /** Not there, expired, or sealed under keys that are not leased (any more). */
  readonly missed: number;
  /** The store failed, was not connected, or was too slow, or was not asked because it answers nothing. */
  readonly failed: number;
  /** Requests that the store has not answered; beyond 1,000 no more are made. */
  readonly pending: number;
}

const DEFAULT_MAX_ENTRIES = 20_000;
const MAX_ENTRIES = 10_000_000;
const DEFAULT_TIMEOUT_MS = 100;
const MAX_TIMEOUT_MS = 60_000;
const MAX_PENDING = 1000;
/** Of servers without one, in seconds: OpenSSL's default, which their sessions have. Node documents another. */
const DEFAULT_SESSION_TIMEOUT = 7200;
const FAILED = Symbol('failed');

function wholeNumber(name: string, value: number | undefined, fallback: number, most: number): number {
  const number = value ?? fallback;
  if (Number.isInteger(number) && number >= 1 && number <= most) return number;
  throw new KeylessError(
    'ERR_KEYLESS_INVALID_ARGUMENT',
    `"${name}" must be a whole number from 1 to ${most}, not ${String(number)}.`,
  );
}

function backendOf({ redis, prefix, maxEntries }: SessionStoreOptions, clock: Clock): SessionBackend {
  const most = wholeNumber('maxEntries', maxEntries, DEFAULT_MAX_ENTRIES, MAX_ENTRIES);
  if (redis === undefined) return new MemorySessions(most, clock);
  // Its pool has these methods, too, and never says that it is ready.
  const isClient = typeof redis?.getRange === 'function' && typeof redis.set === 'function';
  if (isClient && typeof redis.isReady === 'boolean') {
    return new RedisSessions(redis, prefix ?? 'keyless-tls:session:');
  }
  throw new KeylessError(
    'ERR_KEYLESS_INVALID_ARGUMENT',
    '"redis" must be a client of the package "redis", of createClient() and not of createClientPool().',
  );
}

const TLS_1_3 = Buffer.from([0x03, 0x04]);

/** OpenSSL's SSL_SESSION in DER begins with the version of its structure, and that of TLS. */
function isTls13(session: Buffer): boolean {
  const { content } = readElement(session, SEQUENCE);
  return readElement(readElement(content, INTEGER).rest, INTEGER).content.equals(TLS_1_3);
}

/** Where a server's sessions lie: in the store that has used it last. */
const storeOf = new WeakMap<Server, SessionStore>();

class SessionStore {
  readonly #lease: TicketLease;
  readonly #backend: SessionBackend;
  readonly #timeoutMs: number;
  readonly #clock: Clock;
  readonly #silence = new Silence();
  #stored = 0;
  #found = 0;
  #missed = 0;
  #failed = 0;
  #pending = 0;

  constructor(options: SessionStoreOptions) {
    this.#clock = options.clock ?? systemClock;
    this.#lease = options.lease;
    this.#timeoutMs = wholeNumber('timeoutMs', options.timeoutMs, DEFAULT_TIMEOUT_MS, MAX_TIMEOUT_MS);
    this.#backend = backendOf(options, this.#clock);
  }

  /**
   * From here on the server's sessions lie in the store; its tickets are the lease's. A store and a lease that it used before have
   * nothing to do with it any more.
   *
   * @throws ERR_KEYLESS_INVALID_ARGUMENT if the server has no keyless key; ERR_KEYLESS_CLOSED
   */
  use(server: Server): void {
    this.#lease.use(server);
    const isFirst = !storeOf.has(server);
    storeOf.set(server, this);
    if (!isFirst) return;
    asksByIdentity(server);
    server.on('newSession', (id: Buffer, session: Buffer, done: () => void) => {
      const stored = storeOf.get(server)!.#store(server, id, session);
      // A TLS 1.3 server has said that it is connected by now. What it ends with is lost, and the tickets, where a session
      // waits (Node 20 and 22); and a client that is faster than the store has a full handshake.
      if (isTls13(session)) done();
      else void stored.then(() => done());
    });
    server.on('resumeSession', (id: Buffer, done: (error: Error | null, session: Buffer | null) => void) => {
      void storeOf
        .get(server)!
        .#find(id)
        .then((session) => done(null, session ?? null));
    });
  }

  stats(): SessionStoreStats {
    return {
      stored: this.#stored,
      found: this.#found,
      missed: this.#missed,
      failed: this.#failed,
      pending: this.#pending,
    };
  }

  async #store(server: Server, id: Buffer, session: Buffer): Promise<void> {
    const key = this.#lease.keys()?.[0];
    if (key === undefined) return;
    const name = sessionName(id);
    const ttlMs = (serverInternals(server).sessionTimeout ?? DEFAULT_SESSION_TIMEOUT) * 1000;
    const seal = () => this.#backend.set(name, sealSession(name, session, key), ttlMs);
    if ((await this.#inTime(seal)) !== FAILED) this.#stored += 1;
  }

  async #find(id: Buffer): Promise<Buffer | undefined> {
    const name = sessionName(id);
    const session = await this.#inTime(async () => {
      const sealed = await this.#backend.get(name);
      return sealed && openSession(name, sealed, this.#lease.keys() ?? []);
    });
    if (session === FAILED) return undefined;
    if (session === undefined) this.#missed += 1;
    else this.#found += 1;
    return session;
  }

  /** Resolves always: no handshake fails or hangs because of a store, or of what lies there. */
  async #inTime<T>(ask: () => Promise<T>): Promise<T | typeof FAILED> {
    const mayAsk = this.#pending < MAX_PENDING && this.#silence.mayAsk(this.#clock.now());
    const result = mayAsk ? await this.#race(ask) : FAILED;
    if (result === FAILED) this.#failed += 1;
    return result;
  }

  #race<T>(ask: () => Promise<T>): Promise<T | typeof FAILED> {
    this.#pending += 1;
    return new Promise((resolve) => {
      const waiting = patience(this.#clock, this.#timeoutMs, () => {
        this.#silence.begin();
        resolve(FAILED);
      });
      const settle = (result: T | typeof FAILED) => {
        this.#pending -= 1;
        this.#silence.end();
        waiting.cancel();
        resolve(result);
      };
      this.#answered(ask).then(settle, () => settle(FAILED));
    });
  }

  /** A client that throws at once is one that rejects. */
  async #answered<T>(ask: () => Promise<T>): Promise<T> {
    return ask();
  }
}

export type { SessionStore };

/**
 * A store of sessions for servers with a lease.
 *
 * @throws ERR_KEYLESS_INVALID_ARGUMENT for options that are missing or wrong
 */
export function sessionStore(options: SessionStoreOptions): SessionStore {
  if (typeof (options as SessionStoreOptions | undefined)?.lease?.keys === 'function')
    return new SessionStore(options);
  throw new KeylessError(
    'ERR_KEYLESS_INVALID_ARGUMENT',
    'sessionStore() needs "lease", of leaseTicketKeys().',
  );
}

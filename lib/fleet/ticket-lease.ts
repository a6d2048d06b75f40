/**
 * The lease of a fleet's session-ticket keys (docs/protocol.md, "ticket-keys"): edges with the same keys resume each
 * other's sessions, and whoever the key servers turn away has none one period later.
 *
 * States: waiting (no keys yet) -> held -> ended (not renewed in time) -> held …, and closed at the end. Without keys a
 * server accepts no ticket, and issues what nobody can open; it never falls back to keys of its own.
 */
import type { Server } from 'node:tls';
import { backOffMs } from '../client/back-off.ts';
import { type Alarm, type Clock, systemClock } from '../clock.ts';
import { noteContext, setTicketKeys } from '../engine/ticket-keys.ts';
import { KeylessError } from '../errors.ts';
import { decodeTicketKeys } from '../protocol/ticket-keys.ts';
import { type FleetLease, fleetLease } from './channels.ts';
import { type RingView, TicketRing } from './ticket-ring.ts';

/** Where ticket keys come from: `connectKeyServers(…)`. */
export interface TicketKeySource {
  /** The payload of the answer to `ticket-keys`. */
  ticketKeys(): Promise<Uint8Array>;
}

export interface TicketLeaseOptions {
  /**
   * Servers with different labels do not resume each other's sessions; default empty. Servers whose keyless keys, or whose
   * rules for clients' certificates, are not the same never do.
   */
  readonly label?: string | undefined;
  /** For tests. */
  readonly clock?: Clock | undefined;
  /** For tests: 0 to 1, as Math.random. */
  readonly random?: (() => number) | undefined;
}

export interface TicketLeaseStats {
  readonly state: 'waiting' | 'held' | 'ended' | 'closed';
  /** Of the key that issues; `undefined`: none does. */
  readonly epoch: number | undefined;
  /** Milliseconds since the keys were asked for; `undefined`: there are none. */
  readonly ageMs: number | undefined;
  /** Milliseconds until the lease ends if it is not renewed; 0: there is none. */
  readonly remainingMs: number;
  readonly renewals: number;
  readonly failures: number;
  /** Why it was not renewed at the last attempt; `undefined`: it was. */
  readonly lastError: KeylessError | undefined;
}

/** Fractions of the period: when it is renewed, and how long at most between attempts that fail. */
const RENEW_AFTER = { least: 0.2, most: 0.3 };
/** Whatever period a key server claims. */
const MIN_RENEWAL_MS = 100;
const LONGEST_RETRY = 1 / 20;
const RETRY = { minMs: 250, maxMs: 30_000 };
const MAX_TIMER_MS = 2_147_483_647;

function asKeylessError(error: unknown, what: string): KeylessError {
  if (error instanceof KeylessError) return error;
  return new KeylessError('ERR_KEYLESS_OPERATION_FAILED', `${what}: ${String(error)}`, { cause: error });
}

/** Whose keys a server has: those of the lease that has used it last, also after its end. */
const leaseOf = new WeakMap<Server, TicketLease>();

const ENDED = 'The lease of the ticket keys ended before a key server renewed it: sessions are not resumed.';

class TicketLease {
  readonly #source: TicketKeySource;
  readonly #label: string;
  readonly #clock: Clock;
  readonly #random: () => number;
  /** Those that have the keys; whoever has closed gives them up until it listens again. */
  readonly #servers = new Set<Server>();
  #ring: TicketRing | undefined;
  #held = false;
  #closed = false;
  #renewals = 0;
  #failures = 0;
  #failuresInARow = 0;
  #lastError: KeylessError | undefined;
  #renewAlarm: Alarm | undefined;
  #changeAlarm: Alarm | undefined;
  #waiters = new Set<(error: KeylessError | undefined) => void>();

  constructor(source: TicketKeySource, options: TicketLeaseOptions) {
    this.#source = source;
    this.#label = options.label ?? '';
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
    void this.#renew();
  }

  /**
   * From here on the server's tickets are the fleet's, also after `setSecureContext` (with whatever key), and when it closes and listens again. A lease
   * that it used before has nothing to do with it any more.
   *
   * @throws ERR_KEYLESS_INVALID_ARGUMENT if the server has no keyless key; ERR_KEYLESS_CLOSED
   */
  use(server: Server): void {
    if (this.#closed) throw closedError();
    if (this.#servers.has(server)) return;
    if (Object(server) !== server || !this.#install(server, this.keys())) {
      throw invalid(
        'Leased ticket keys are for servers with a PrivateKey object in "key", made by "keyless-tls", ' +
          '"keyless-tls/https" or "keyless-tls/http2".',
      );
    }
    const before = leaseOf.get(server);
    if (before !== undefined) before.#servers.delete(server);
    leaseOf.set(server, this);
    this.#servers.add(server);
    if (before !== undefined) return;
    followContexts(server, () => leaseOf.get(server)!.#reinstall(server));
    server.on('close', () => leaseOf.get(server)!.#release(server));
    server.on('listening', () => leaseOf.get(server)!.#takeBack(server));
  }

  /**
   * Resolves when there are keys; until then, and without it, servers do full handshakes.
   *
   * Rejects with what the next attempt fails with; attempts go on nevertheless.
   */
  ready(): Promise<void> {
    if (this.#closed) return Promise.reject(closedError());
    if (this.keys() !== undefined) return Promise.resolve();
    return new Promise((resolve, reject) => {
      // Attempts do not keep the process alive, whoever waits for one does.
      const alarm = this.#clock.after(MAX_TIMER_MS, () => undefined);
      alarm.ref();
      this.#waiters.add((error) => {
        alarm.cancel();
        if (error === undefined) resolve();
        else reject(error);
      });
    });
  }

  /** The keys now, secret, not to be kept; `undefined`: there are none. */
  keys(): RingView['keys'] | undefined {
    return this.#ring?.at(this.#clock.now())?.keys;
  }

  stats(): TicketLeaseStats {
    const now = this.#clock.now();
    const keys = this.keys();
    const remainingMs = keys === undefined ? 0 : this.#ring!.endsAt - now;
    return {
      state: this.#stateWith(keys !== undefined),
      epoch: keys?.[0]?.epoch,
      ageMs: keys && this.#ring!.periodMs - remainingMs,
      remainingMs,
      renewals: this.#renewals,
      failures: this.#failures,
      lastError: this.#lastError,
    };
  }

  /** Gives the keys up: servers that use them resume nothing any more. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#renewAlarm?.cancel();
    this.#changeAlarm?.cancel();
    this.#ring?.wipe();
    this.#ring = undefined;
    this.#installAll();
    this.#servers.clear();
    this.#tellWaiters(closedError());
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #stateWith(hasKeys: boolean): TicketLeaseStats['state'] {
    if (this.#closed) return 'closed';
    if (hasKeys) return 'held';
    return this.#renewals === 0 ? 'waiting' : 'ended';
  }

  async #renew(): Promise<void> {
    const askedAt = this.#clock.now();
    try {
      const payload = await this.#source.ticketKeys();
      const set = decodeTicketKeys(payload);
      payload.fill(0);
      if (!this.#closed) this.#take(new TicketRing(set, askedAt));
    } catch (error) {
      if (!this.#closed) this.#onFailure(asKeylessError(error, 'The ticket keys could not be had'));
    }
  }

  #take(ring: TicketRing): void {
    this.#ring?.wipe();
    this.#ring = ring;
    this.#renewals += 1;
    this.#failuresInARow = 0;
    this.#lastError = undefined;
    const { least, most } = RENEW_AFTER;
    const share = least + (most - least) * this.#random();
    this.#renewIn(Math.max(MIN_RENEWAL_MS, ring.periodMs * share));
    this.#change();
    this.#tell('renewed');
    this.#tellWaiters(undefined);
  }

  #onFailure(error: KeylessError): void {
    this.#failuresInARow += 1;
    const periodMs = this.#ring?.periodMs ?? Number.POSITIVE_INFINITY;
    const maxMs = Math.max(RETRY.minMs, Math.min(RETRY.maxMs, periodMs * LONGEST_RETRY));
    this.#renewIn(backOffMs(this.#failuresInARow, { minMs: RETRY.minMs, maxMs, random: this.#random }));
    this.#noteFailure(error);
    this.#tellWaiters(error);
  }

  #noteFailure(error: KeylessError): void {
    this.#failures += 1;
    this.#lastError = error;
    this.#tell('failed', error);
  }

  #renewIn(ms: number): void {
    this.#renewAlarm?.cancel();
    this.#renewAlarm = this.#clock.after(Math.min(Math.ceil(ms), MAX_TIMER_MS), () => void this.#renew());
  }

  /** The keys of now go to the servers; comes back when they are others. */
  #change(): void {
    this.#changeAlarm?.cancel();
    const now = this.#clock.now();
    const view = this.#ring?.at(now);
    this.#installAll();
    if (view !== undefined) {
      this.#held = true;
      const waitMs = Math.min(Math.max(1, Math.ceil(view.until - now)), MAX_TIMER_MS);
      this.#changeAlarm = this.#clock.after(waitMs, () => this.#change());
    } else if (this.#held) {
      this.#held = false;
      this.#ring?.wipe();
      this.#tell('ended', this.#lastError ?? new KeylessError('ERR_KEYLESS_TIMEOUT', ENDED));
    }
  }

  /** Nobody keeps a server that has closed; what it would have kept would outlast the lease. */
  #release(server: Server): void {
    this.#servers.delete(server);
    this.#installSafely(server, undefined);
  }

  #takeBack(server: Server): void {
    if (!this.#closed) this.#servers.add(server);
    this.#installSafely(server, this.keys());
  }

  /** A new context begins with keys of Node's own. */
  #reinstall(server: Server): void {
    this.#installSafely(server, this.#servers.has(server) ? this.keys() : undefined);
  }

  #installAll(): void {
    const keys = this.keys();
    for (const server of this.#servers) this.#installSafely(server, keys);
  }

  /** What is wrong with one server is no matter of the others, nor of the key servers. */
  #installSafely(server: Server, keys: RingView['keys'] | undefined): void {
    try {
      this.#install(server, keys);
    } catch (error) {
      this.#noteFailure(asKeylessError(error, 'A server could not be given its ticket keys, and has none'));
    }
  }

  /** @param keys `undefined`: none; the server accepts no ticket, and issues what nobody can open */
  #install(server: Server, keys: RingView['keys'] | undefined): boolean {
    const bytes = Buffer.concat((keys ?? []).map(({ key }) => key));
    try {
      return setTicketKeys(server, bytes, this.#label);
    } finally {
      bytes.fill(0);
    }
  }

  #tell(event: FleetLease['event'], error?: KeylessError): void {
    if (!fleetLease.hasSubscribers) return;
    const { epoch, remainingMs } = this.stats();
    fleetLease.publish({ event, epoch, remainingMs, error } satisfies FleetLease);
  }

  #tellWaiters(error: KeylessError | undefined): void {
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    for (const waiter of waiters) waiter(error);
  }
}

function followContexts(server: Server, onContext: () => void): void {
  const { setSecureContext } = server;
  const value = (options: unknown) => {
    noteContext(server, () => Reflect.apply(setSecureContext, server, [options]));
    onContext();
  };
  Object.defineProperty(server, 'setSecureContext', { value, configurable: true, writable: true });
}

function closedError(): KeylessError {
  return new KeylessError('ERR_KEYLESS_CLOSED', 'The lease of the ticket keys was closed by close().');
}

function invalid(what: string): KeylessError {
  return new KeylessError('ERR_KEYLESS_INVALID_ARGUMENT', what);
}

export type { TicketLease };

/**
 * Leases the session-ticket keys of this edge's group from its key servers, now, and keeps them renewed. It does not
 * keep the process alive.
 *
 * @param keys `connectKeyServers(…)`, whose key servers give ticket keys to this edge (`tickets` in their policy)
 * @throws ERR_KEYLESS_INVALID_ARGUMENT
 */
export function leaseTicketKeys(keys: TicketKeySource, options: TicketLeaseOptions = {}): TicketLease {
  if (typeof (keys as TicketKeySource | undefined)?.ticketKeys !== 'function')
    throw invalid('leaseTicketKeys() needs the keys of connectKeyServers() first.');
  if (Object(options) !== options)
    throw invalid('leaseTicketKeys() takes options as an object, such as { label: "shop" }.');
  if (options.label !== undefined && typeof options.label !== 'string')
    throw invalid(`"label" must be a string, not ${typeof options.label}.`);
  return new TicketLease(keys, options);
}

/**
 * Key servers by DNS SRV (RFC 2782): which they are is asked again and again, and sooner when none can be reached.
 *
 * What was found last stays when the DNS cannot be reached.
 */
import type { Alarm, Clock } from '../clock.ts';
import { KeylessError } from '../errors.ts';
import { clientServers } from './channels.ts';
import type { ServerAddress } from './server-address.ts';

/** The part of a `dns.SrvRecord` that matters here. Weights are not looked at: measured latency decides. */
export interface SrvRecord {
  readonly name: string;
  readonly port: number;
  readonly priority: number;
}

export type ResolveSrv = (name: string) => Promise<readonly SrvRecord[]>;

export interface SrvSettings {
  /** For example `_keyless._tcp.internal`. */
  readonly name: string;
  readonly resolve: ResolveSrv;
  readonly intervalMs: number;
  readonly clock: Clock;
}

export interface SrvEvents {
  onServers(servers: readonly ServerAddress[]): void;
  onFailed(error: KeylessError): void;
}

/** However many operations wait for somebody. */
const MIN_INTERVAL_MS = 1000;
/** A zone with more is a mistake, or somebody else's. */
const MAX_SERVERS = 64;

function addressOf({ name, port, priority }: SrvRecord): ServerAddress {
  const host = name.replace(/\.$/, '');
  return { host, port, priority, name: `${host}:${port}` };
}

/** RFC 2782: a target of "." says that the service is not there. */
function isThere({ name, port }: SrvRecord): boolean {
  return name !== '' && name !== '.' && port > 0;
}

export class SrvWatch {
  readonly #settings: SrvSettings;
  readonly #events: SrvEvents;
  #alarm: Alarm | undefined;
  #askedAt = Number.NEGATIVE_INFINITY;
  #isAsking = false;
  #closed = false;

  constructor(settings: SrvSettings, events: SrvEvents) {
    this.#settings = settings;
    this.#events = events;
    this.#ask();
  }

  /** Nobody can be reached: perhaps they are elsewhere by now. */
  hurry(): void {
    if (this.#isAsking || this.#closed) return;
    if (this.#settings.clock.now() - this.#askedAt >= MIN_INTERVAL_MS) this.#ask();
  }

  close(): void {
    this.#closed = true;
    this.#alarm?.cancel();
  }

  #ask(): void {
    const { clock, resolve, name } = this.#settings;
    this.#alarm?.cancel();
    this.#askedAt = clock.now();
    this.#isAsking = true;
    // Whoever resolves may throw, too.
    new Promise<readonly SrvRecord[]>((settle) => settle(resolve(name))).then(
      (records) => this.#onRecords(records),
      (error: unknown) => this.#onError(error),
    );
  }

  #onRecords(records: readonly SrvRecord[]): void {
    const servers = records.filter(isThere).map(addressOf).slice(0, MAX_SERVERS);
    if (servers.length === 0) {
      this.#onError(new Error('it names no key server'));
      return;
    }
    if (!this.#next(this.#settings.intervalMs)) return;
    this.#events.onServers(servers);
    this.#publish(servers, undefined);
  }

  #onError(cause: unknown): void {
    if (!this.#next(Math.min(MIN_INTERVAL_MS, this.#settings.intervalMs))) return;
    const error = new KeylessError(
      'ERR_KEYLESS_NO_KEY_SERVER',
      `The SRV record ${this.#settings.name} is of no use: ${cause instanceof Error ? cause.message : 'it failed'}.`,
      { cause },
    );
    this.#events.onFailed(error);
    this.#publish([], error);
  }

  /** @returns whether it goes on */
  #next(waitMs: number): boolean {
    this.#isAsking = false;
    if (this.#closed) return false;
    this.#alarm = this.#settings.clock.after(waitMs, () => this.#ask());
    return true;
  }

  #publish(servers: readonly ServerAddress[], error: KeylessError | undefined): void {
    if (clientServers.hasSubscribers)
      clientServers.publish({ servers: servers.map(({ name }) => name), error });
  }
}

/**
 * Key servers by DNS SRV (RFC 2782): which they are is asked again and again, and each second while none can be reached.
 *
 * What was found last stays when the DNS cannot be reached.
 */
import type { Clock } from '../clock.ts';
import { KeylessError } from '../errors.ts';
import { type Patience, patience } from '../patience.ts';
import { clientServers } from './channels.ts';
import { wordsOf } from './errors.ts';
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
  /** Ends what was asked, where that is possible: a question keeps the process alive. */
  cancel?(): void;
  readonly intervalMs: number;
  readonly clock: Clock;
  /** @returns whether any key server is there */
  isAnyThere(): boolean;
}

export interface SrvEvents {
  onServers(servers: readonly ServerAddress[]): void;
  onFailed(error: KeylessError): void;
}

/** However often it is said that nobody is there: from answer to question, in which nothing keeps the process alive. */
const MIN_INTERVAL_MS = 1000;
/** Whoever resolves may never answer: it is asked again, and that answer not looked at. */
const MAX_ANSWER_MS = 5000;
/** A zone with more is a mistake, or somebody else's. */
const MAX_SERVERS = 64;

function addressOf({ name, port, priority }: SrvRecord): ServerAddress {
  const host = name.replace(/\.$/, '');
  return { host, port, priority, name: `${host}:${port}` };
}

/** An order of which a DNS, which may rotate its records and change the case of names, knows nothing. */
function compare(one: ServerAddress, other: ServerAddress): number {
  const [name, otherName] = [one.name.toLowerCase(), other.name.toLowerCase()];
  return one.priority! - other.priority! || (name < otherName ? -1 : Number(name > otherName));
}

/** RFC 2782: a target of "." says that the service is not there. What is no record, of whoever resolves, is none. */
function isThere(record: SrvRecord | null | undefined): boolean {
  if (typeof record?.name !== 'string' || record.name === '' || record.name === '.') return false;
  const { port, priority } = record;
  return Number.isInteger(port) && port > 0 && port < 65_536 && Number.isInteger(priority) && priority >= 0;
}

/** @throws if nobody is named, and what records throw that are none */
function serversOf(records: readonly SrvRecord[]): readonly ServerAddress[] {
  const servers = Array.isArray(records) ? records.filter(isThere).map(addressOf).sort(compare) : [];
  if (servers.length === 0) throw new Error('it names no key server');
  return servers.slice(0, MAX_SERVERS);
}

export class SrvWatch {
  readonly #settings: SrvSettings;
  readonly #events: SrvEvents;
  /** For the next question, or for the answer. */
  #alarm: Patience | undefined;
  #dueAt = Number.POSITIVE_INFINITY;
  #answeredAt = Number.NEGATIVE_INFINITY;
  /** What is awaited; `undefined`: nothing. */
  #asked: Promise<readonly ServerAddress[]> | undefined;
  #closed = false;

  constructor(settings: SrvSettings, events: SrvEvents) {
    this.#settings = settings;
    this.#events = events;
    this.#ask();
  }

  /** Nobody can be reached: perhaps they are elsewhere by now. */
  hurry(): void {
    if (this.#asked !== undefined || this.#closed) return;
    const dueAt = this.#answeredAt + MIN_INTERVAL_MS;
    const ms = dueAt - this.#settings.clock.now();
    if (ms <= 0) this.#ask();
    else if (dueAt < this.#dueAt) this.#wait(ms);
  }

  close(): void {
    this.#closed = true;
    this.#alarm?.cancel();
    this.#settings.cancel?.();
  }

  #ask(): void {
    const { clock, resolve, name } = this.#settings;
    this.#alarm?.cancel();
    // Whoever resolves may throw, too.
    const asked = new Promise<readonly SrvRecord[]>((settle) => settle(resolve(name))).then(serversOf);
    this.#asked = asked;
    this.#alarm = patience(clock, MAX_ANSWER_MS, () => {
      this.#settings.cancel?.();
      this.#onError(asked, new Error('there was no answer'));
    });
    asked.then(
      (servers) => this.#onServers(asked, servers),
      (error: unknown) => this.#onError(asked, error),
    );
  }

  #onServers(asked: Promise<unknown>, servers: readonly ServerAddress[]): void {
    if (!this.#isAwaited(asked)) return;
    this.#events.onServers(servers);
    this.#publish(servers, undefined);
    const { isAnyThere, intervalMs } = this.#settings;
    this.#wait(isAnyThere() ? intervalMs : Math.min(MIN_INTERVAL_MS, intervalMs));
  }

  #onError(asked: Promise<unknown>, cause: unknown): void {
    if (!this.#isAwaited(asked)) return;
    this.#wait(Math.min(MIN_INTERVAL_MS, this.#settings.intervalMs));
    const error = new KeylessError(
      'ERR_KEYLESS_NO_KEY_SERVER',
      `The SRV record ${this.#settings.name} is of no use: ${wordsOf(cause)}.`,
      { cause },
    );
    this.#events.onFailed(error);
    this.#publish([], error);
  }

  /** @returns whether the answer is that to the last question, and anybody wants to know; then it is awaited no more */
  #isAwaited(asked: Promise<unknown>): boolean {
    if (asked !== this.#asked || this.#closed) return false;
    this.#asked = undefined;
    this.#answeredAt = this.#settings.clock.now();
    return true;
  }

  #wait(ms: number): void {
    const { clock } = this.#settings;
    this.#alarm?.cancel();
    this.#dueAt = clock.now() + ms;
    this.#alarm = clock.after(ms, () => this.#ask());
  }

  #publish(servers: readonly ServerAddress[], error: KeylessError | undefined): void {
    if (clientServers.hasSubscribers)
      clientServers.publish({ servers: servers.map(({ name }) => name), error });
  }
}

/**
 * One way to a key server: a connection, and a new one when it is gone or going.
 *
 * States: connecting -> ready -> waiting (back-off) -> connecting …, and closed at the end. A connection that the key
 * server says goodbye on, or that newer credentials replace, is still there for the answers that are under way.
 */
import type { Alarm } from '../clock.ts';
import type { KeylessError } from '../errors.ts';
import { type BackOffSettings, backOffMs } from './back-off.ts';
import { clientConnectionClosed, clientConnectionReady } from './channels.ts';
import { Connection, type ConnectionSettings } from './connection.ts';
import { closedError, goingError, type Refusal } from './errors.ts';

export type LinkState = 'connecting' | 'ready' | 'waiting' | 'closed';

export interface LinkEvents {
  /** Its state has changed. */
  onChange(): void;
  /** There is room for more requests. */
  onAnswers(): void;
  /** A spare connects only while the key server is known to be there, and to accept the credentials: one attempt at a time is enough to find out. */
  mayConnect(): boolean;
}

/** A connection that does not even live so long counts as one more failure in a row. */
const SHORT_LIFE_MS = 1000;
/** However many handshakes ask for it, no more than five attempts a second. */
const MIN_ATTEMPT_INTERVAL_MS = 200;
/** So many connections in a row that end between handshake and answer are no accident: one that crashes is not there for a while. */
const CERTAIN_FROM = 3;

export class Link {
  /** Asked for each connection: credentials change. */
  readonly #settings: () => ConnectionSettings;
  readonly #backOff: BackOffSettings;
  readonly #events: LinkEvents;
  #connection: Connection | undefined;
  /** Connects with newer credentials while the other one still serves. */
  #successor: Connection | undefined;
  /** Whose last answers are awaited. */
  readonly #leaving = new Set<Connection>();
  #alarm: Alarm | undefined;
  #attemptedAt = Number.NEGATIVE_INFINITY;
  /** When the last connection became ready, milliseconds on the clock; `undefined`: it did not. */
  readyAt: number | undefined;
  #closed = false;
  #failuresInARow = 0;
  #perhapsRefusedInARow = 0;
  #strayBefore = { late: 0, unknown: 0 };
  /** Connections that became ready. */
  connections = 0;
  /** Attempts and connections that failed. */
  failures = 0;
  /** Why the last connection or attempt failed, and none became ready since; the one before may still serve. */
  lastError: KeylessError | undefined;
  /** It seems that the key server does not accept us, or we not it: to wait for it is of no use. */
  hopeless = false;

  constructor(settings: () => ConnectionSettings, backOff: BackOffSettings, events: LinkEvents) {
    this.#settings = settings;
    this.#backOff = backOff;
    this.#events = events;
    if (events.mayConnect()) this.#connect();
  }

  get state(): LinkState {
    if (this.#closed) return 'closed';
    if (this.#connection === undefined) return 'waiting';
    return this.#connection.ready ? 'ready' : 'connecting';
  }

  /** `undefined`: not ready. */
  get connection(): Connection | undefined {
    return this.#connection?.ready === true ? this.#connection : undefined;
  }

  /** It is ready, and was made since, or has answered what it was asked since. @param since milliseconds on the clock */
  isProvenSince(since: number): boolean {
    const { connection } = this;
    return connection !== undefined && (this.readyAt! >= since || connection.provenAt >= since);
  }

  /** It is ready, by the credentials that there are now. */
  get isCurrent(): boolean {
    return this.connection?.secureContext === this.#settings().secureContext;
  }

  /** Worth waiting for: it is being connected, or was ready until now and will soon be again. */
  get promising(): boolean {
    const { state } = this;
    return state === 'connecting' || (state === 'waiting' && this.readyAt !== undefined);
  }

  /** It has connections, also such as only answers are awaited on. */
  get isOpen(): boolean {
    return this.#connection !== undefined || this.#successor !== undefined || this.#leaving.size > 0;
  }

  /** Answers that came too late, and answers to nothing that was asked. */
  get strayAnswers(): { readonly late: number; readonly unknown: number } {
    let { late, unknown } = this.#strayBefore;
    for (const connection of this.#connections()) {
      late += connection.strayAnswers.late;
      unknown += connection.strayAnswers.unknown;
    }
    return { late, unknown };
  }

  /** Requests that nobody waits for any more, and whose answers may still come. */
  get unanswered(): number {
    let unanswered = 0;
    for (const connection of this.#connections()) unanswered += connection.unanswered;
    return unanswered;
  }

  /** Somebody needs it now: does not wait for the end of the back-off, unless it has just been tried. */
  hurry(): void {
    if (this.state !== 'waiting' || !this.#events.mayConnect()) return;
    if (this.#settings().clock.now() - this.#attemptedAt >= MIN_ATTEMPT_INTERVAL_MS) this.#connect();
  }

  /** A spare may connect now, or renew its connection. */
  wake(): void {
    if (this.#alarm === undefined) this.#renewIfOutdated();
    if (this.state !== 'waiting' || this.#alarm !== undefined || !this.#events.mayConnect()) return;
    if (this.#failuresInARow === 0) this.#connect();
    else this.#retryIn(backOffMs(this.#failuresInARow, this.#backOff));
  }

  /** There are other credentials: a new connection takes the place of this one as soon as it is ready. */
  renew(): void {
    this.#successor?.destroy(closedError());
    this.#successor = undefined;
    const { state } = this;
    if (state === 'ready') this.#renewIfOutdated();
    else if (state === 'connecting') this.#startAgain();
    // However short ago the old ones were tried.
    else if (state === 'waiting' && this.#events.mayConnect()) this.#connect();
  }

  #renewIfOutdated(): void {
    if (this.state !== 'ready' || this.isCurrent || this.#successor !== undefined) return;
    if (this.#events.mayConnect()) this.#succeed();
  }

  /** Not a failure, and nobody sees a moment without an attempt: operations that wait for this one wait on. */
  #startAgain(): void {
    const before = this.#connection!;
    this.#leaving.add(before);
    this.#connect();
    before.destroy(closedError());
  }

  /** No new requests; what is under way is answered. */
  leave(): void {
    this.#closed = true;
    this.#alarm?.cancel();
    this.#successor?.destroy(closedError());
    if (this.#connection?.ready === true) this.#letGo(this.#connection);
    else this.#connection?.destroy(closedError());
  }

  close(): void {
    this.#closed = true;
    this.#alarm?.cancel();
    for (const connection of [...this.#connections()]) connection.destroy(closedError());
  }

  *#connections(): Iterable<Connection> {
    if (this.#connection !== undefined) yield this.#connection;
    if (this.#successor !== undefined) yield this.#successor;
    yield* this.#leaving;
  }

  #open(): Connection {
    this.#attemptedAt = this.#settings().clock.now();
    const connection: Connection = new Connection(this.#settings(), {
      onReady: () => this.#onReady(connection),
      onAnswers: this.#events.onAnswers,
      onGoodbye: () => this.#onGoodbye(connection),
      onClose: (error, refusal) => this.#onClose(connection, error, refusal),
    });
    return connection;
  }

  #connect(): void {
    this.#alarm?.cancel();
    this.#alarm = undefined;
    this.readyAt = undefined;
    this.#connection = this.#open();
  }

  #succeed(): void {
    this.#alarm?.cancel();
    this.#alarm = undefined;
    this.#successor = this.#open();
  }

  #onReady(connection: Connection): void {
    const { clock, address } = this.#settings();
    if (connection === this.#successor) {
      const before = this.#connection;
      this.#promote();
      if (before !== undefined) this.#letGo(before);
    }
    this.connections += 1;
    this.readyAt = clock.now();
    this.lastError = undefined;
    this.hopeless = false;
    this.#perhapsRefusedInARow = 0;
    if (clientConnectionReady.hasSubscribers) {
      clientConnectionReady.publish({ server: address.name, profile: connection.profile });
    }
    this.#events.onChange();
  }

  #letGo(connection: Connection): void {
    if (connection === this.#connection) this.#connection = undefined;
    this.#leaving.add(connection);
    connection.leave();
  }

  #onGoodbye(connection: Connection): void {
    if (!connection.ready) connection.destroy(goingError(this.#settings().address.name));
    if (connection !== this.#connection || !connection.ready) return;
    this.#letGo(connection);
    // One that greets us only to say goodbye is not connected to without end.
    this.#failuresInARow = this.#livedLong ? 1 : this.#failuresInARow + 1;
    if (this.#successor === undefined) this.#retryIn(backOffMs(this.#failuresInARow, this.#backOff));
    else this.#promote();
    this.#events.onChange();
  }

  #onClose(connection: Connection, error: KeylessError, refusal: Refusal): void {
    const { late, unknown } = connection.strayAnswers;
    this.#strayBefore.late += late;
    this.#strayBefore.unknown += unknown;
    const left = this.#leaving.delete(connection);
    const wasSuccessor = connection === this.#successor;
    if (connection === this.#connection) this.#connection = undefined;
    if (wasSuccessor) this.#successor = undefined;
    const server = this.#settings().address.name;
    if (clientConnectionClosed.hasSubscribers) clientConnectionClosed.publish({ server, error });
    if (this.#closed || left) return;
    if (!wasSuccessor) this.#onLost(error, refusal);
    else if (error.code !== 'ERR_KEYLESS_CLOSED') this.#onSuccessorFailed(error);
  }

  #onLost(error: KeylessError, refusal: Refusal): void {
    this.#fail(error, this.#livedLong);
    this.#perhapsRefusedInARow = refusal === 'perhaps' ? this.#perhapsRefusedInARow + 1 : 0;
    this.hopeless = refusal === 'certain' || this.#perhapsRefusedInARow >= CERTAIN_FROM;
    if (this.#successor === undefined) this.#retryIn(backOffMs(this.#failuresInARow, this.#backOff));
    else this.#promote();
    this.#events.onChange();
  }

  get #livedLong(): boolean {
    return this.readyAt !== undefined && this.#settings().clock.now() - this.readyAt >= SHORT_LIFE_MS;
  }

  /** The old connection serves as long as it lasts; the new credentials are tried again. */
  #onSuccessorFailed(error: KeylessError): void {
    this.#fail(error, false);
    const waitMs = backOffMs(this.#failuresInARow, this.#backOff);
    this.#alarm = this.#settings().clock.after(waitMs, () => {
      this.#alarm = undefined;
      this.#renewIfOutdated();
    });
    this.#events.onChange();
  }

  /** The connection it was to replace has no more to do, or is gone already. */
  #promote(): void {
    this.#connection = this.#successor;
    this.#successor = undefined;
  }

  #fail(error: KeylessError, lived: boolean): void {
    this.failures += 1;
    this.#failuresInARow = lived ? 1 : this.#failuresInARow + 1;
    this.lastError = error;
  }

  #retryIn(waitMs: number): void {
    this.#alarm?.cancel();
    this.#alarm = this.#settings().clock.after(waitMs, () => {
      this.#alarm = undefined;
      if (this.state === 'waiting' && this.#events.mayConnect()) this.#connect();
    });
  }
}

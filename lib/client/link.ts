/**
 * The way to one key server: a connection, and a new one when it is gone.
 *
 * States: connecting -> ready -> waiting (back-off) -> connecting …, and closed at the end.
 */
import type { Alarm } from '../clock.ts';
import type { KeylessError } from '../errors.ts';
import { type BackOffSettings, backOffMs } from './back-off.ts';
import { clientConnectionClosed, clientConnectionReady } from './channels.ts';
import { Connection, type ConnectionSettings } from './connection.ts';
import { closedError } from './errors.ts';

export type LinkState = 'connecting' | 'ready' | 'waiting' | 'closed';

/** What is known of one key server. */
export interface ServerStats {
  /** As it was configured. */
  readonly server: string;
  readonly state: LinkState;
  readonly profile: 'ours' | 'field' | undefined;
  readonly inFlight: number;
  /** Connections that became ready. */
  readonly connections: number;
  /** Attempts and connections that failed. */
  readonly failures: number;
  /** Answers that nobody waited for any more. */
  readonly lateAnswers: number;
  /** Answers to nothing that was asked: a fault of the key server. */
  readonly unknownAnswers: number;
  /** Why it is not ready; `undefined`: it is, or was not tried yet. */
  readonly lastError: KeylessError | undefined;
}

/** A connection that does not even live so long counts as one more failure in a row. */
const SHORT_LIFE_MS = 1000;
/** However many handshakes ask for it, no more than five attempts a second. */
const MIN_ATTEMPT_INTERVAL_MS = 200;

export class Link {
  readonly #settings: ConnectionSettings;
  readonly #backOff: BackOffSettings;
  /** Its state has changed. */
  readonly #onChange: () => void;
  #connection: Connection | undefined;
  #alarm: Alarm | undefined;
  #attemptedAt = Number.NEGATIVE_INFINITY;
  /** When the last connection became ready; `undefined`: it did not. */
  #readyAt: number | undefined;
  #closed = false;
  #failuresInARow = 0;
  #failures = 0;
  #connections = 0;
  #late = 0;
  #unknown = 0;
  #lastError: KeylessError | undefined;

  constructor(settings: ConnectionSettings, backOff: BackOffSettings, onChange: () => void) {
    this.#settings = settings;
    this.#backOff = backOff;
    this.#onChange = onChange;
    this.#connect();
  }

  get name(): string {
    return this.#settings.address.name;
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

  get lastError(): KeylessError | undefined {
    return this.#lastError;
  }

  /** Worth waiting for: it is being connected, or was ready until now and will soon be again. */
  get promising(): boolean {
    const { state } = this;
    return state === 'connecting' || (state === 'waiting' && this.#readyAt !== undefined);
  }

  /** Somebody needs it now: does not wait for the end of the back-off, unless it has just been tried. */
  hurry(): void {
    if (this.state !== 'waiting') return;
    if (this.#settings.clock.now() - this.#attemptedAt >= MIN_ATTEMPT_INTERVAL_MS) this.#connect();
  }

  stats(): ServerStats {
    const stray = this.#connection?.strayAnswers;
    return {
      server: this.name,
      state: this.state,
      profile: this.connection?.profile,
      inFlight: this.#connection?.inFlight ?? 0,
      connections: this.#connections,
      failures: this.#failures,
      lateAnswers: this.#late + (stray?.late ?? 0),
      unknownAnswers: this.#unknown + (stray?.unknown ?? 0),
      lastError: this.#lastError,
    };
  }

  close(): void {
    this.#closed = true;
    this.#alarm?.cancel();
    this.#connection?.destroy(closedError());
  }

  #connect(): void {
    this.#alarm?.cancel();
    this.#attemptedAt = this.#settings.clock.now();
    this.#readyAt = undefined;
    const connection = new Connection(this.#settings, {
      onReady: () => this.#onReady(connection),
      onClose: (error) => this.#onClose(connection, error),
    });
    this.#connection = connection;
  }

  #onReady(connection: Connection): void {
    this.#connections += 1;
    this.#readyAt = this.#settings.clock.now();
    this.#lastError = undefined;
    if (clientConnectionReady.hasSubscribers) {
      clientConnectionReady.publish({ server: this.name, profile: connection.profile });
    }
    this.#onChange();
  }

  #onClose(connection: Connection, error: KeylessError): void {
    const { late, unknown } = connection.strayAnswers;
    this.#late += late;
    this.#unknown += unknown;
    this.#connection = undefined;
    if (clientConnectionClosed.hasSubscribers) clientConnectionClosed.publish({ server: this.name, error });
    if (this.#closed) return;
    this.#failures += 1;
    const lived = this.#readyAt !== undefined && this.#settings.clock.now() - this.#readyAt >= SHORT_LIFE_MS;
    this.#failuresInARow = lived ? 1 : this.#failuresInARow + 1;
    this.#lastError = error;
    const waitMs = backOffMs(this.#failuresInARow, this.#backOff);
    this.#alarm = this.#settings.clock.after(waitMs, () => this.#connect());
    this.#onChange();
  }
}

/**
 * One request on its way through whatever connections it takes, until it is answered, given up or too late.
 *
 * It settles once. Signing twice is harmless, so a connection that dies takes no request with it.
 */
import type { Alarm, Clock } from '../clock.ts';
import { KeylessError } from '../errors.ts';
import type { Answer } from '../protocol/answers.ts';
import type { Items } from '../protocol/tags.ts';
import { type ClientOperation, clientOperation } from './channels.ts';
import type { Connection, Profile } from './connection.ts';
import { wireError } from './errors.ts';

export interface ErrandRequest {
  readonly kind: ClientOperation['kind'];
  /** The request in the words of either profile. @throws what makes it impossible there */
  items(profile: Profile): Items;
  /** Milliseconds on the clock. */
  readonly deadline: number;
  /** `undefined`: cannot be cancelled. */
  readonly signal: CancelSignal | undefined;
}

/** The part of an AbortSignal that matters here. */
export interface CancelSignal {
  readonly aborted: boolean;
  readonly reason: unknown;
  addEventListener(type: 'abort', listener: () => void, options: { once: true }): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

export type ErrandResult = Uint8Array | KeylessError;

/** How often a request is sent when connections die under it. */
const MAX_ATTEMPTS = 3;

export class Errand {
  readonly #request: ErrandRequest;
  readonly #clock: Clock;
  readonly #startedAt: number;
  readonly #onSettled: (result: ErrandResult) => void;
  /** Sends it again: its connection died. */
  readonly #resend: (errand: Errand) => void;
  readonly #alarm: Alarm;
  #sent: { readonly connection: Connection; readonly id: number } | undefined;
  #server: string | undefined;
  #attempts = 0;
  settled = false;

  constructor(
    request: ErrandRequest,
    clock: Clock,
    resend: (errand: Errand) => void,
    onSettled: (result: ErrandResult) => void,
  ) {
    this.#request = request;
    this.#clock = clock;
    this.#resend = resend;
    this.#onSettled = onSettled;
    this.#startedAt = clock.now();
    const waitMs = Math.max(0, request.deadline - this.#startedAt);
    this.#alarm = clock.after(Math.ceil(waitMs), () => this.#timeOut());
    // The connections do not keep the process alive; a request that somebody waits for does.
    this.#alarm.ref();
  }

  /** Settles at once if it is cancelled already. */
  watchSignal(): void {
    const { signal } = this.#request;
    if (signal?.aborted === true) this.#onAbort();
    else signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  /** Was sent more than once. */
  get retried(): boolean {
    return this.#attempts > 1;
  }

  send(connection: Connection, server: string): void {
    this.#attempts += 1;
    this.#server = server;
    try {
      const items = this.#request.items(connection.profile);
      const id = connection.request(items, (answer) => this.#onAnswer(answer, server));
      this.#sent = { connection, id };
    } catch (error) {
      this.settle(
        error instanceof KeylessError ? error : new KeylessError('ERR_KEYLESS_PROTOCOL', String(error)),
      );
    }
  }

  settle(result: ErrandResult): void {
    if (this.settled) return;
    this.settled = true;
    this.#alarm.cancel();
    this.#request.signal?.removeEventListener('abort', this.#onAbort);
    if (clientOperation.hasSubscribers) this.#publish(result);
    this.#onSettled(result);
  }

  #onAnswer(answer: Answer | KeylessError, server: string): void {
    this.#sent = undefined;
    if (answer instanceof KeylessError) this.#onConnectionLost(answer);
    else if (answer.kind === 'error') this.settle(wireError(answer.code, server));
    else this.settle(answer.payload ?? new Uint8Array(0));
  }

  #onConnectionLost(error: KeylessError): void {
    if (error.code === 'ERR_KEYLESS_CLOSED' || this.#attempts >= MAX_ATTEMPTS) this.settle(error);
    else this.#resend(this);
  }

  #timeOut(): void {
    const waited = Math.round(this.#clock.now() - this.#startedAt);
    const whom =
      this.#server === undefined
        ? 'No key server was reached'
        : `The key server ${this.#server} did not answer`;
    this.#giveUp(new KeylessError('ERR_KEYLESS_TIMEOUT', `${whom} within ${waited} ms.`));
  }

  readonly #onAbort = (): void => {
    const { reason } = this.#request.signal!;
    this.#giveUp(
      reason instanceof KeylessError
        ? reason
        : new KeylessError('ERR_KEYLESS_ABORTED', 'The operation was cancelled.', { cause: reason }),
    );
  };

  #giveUp(error: KeylessError): void {
    if (this.#sent !== undefined) this.#sent.connection.giveUp(this.#sent.id);
    this.settle(error);
  }

  #publish(result: ErrandResult): void {
    const message: ClientOperation = {
      server: this.#server,
      kind: this.#request.kind,
      attempts: this.#attempts,
      durationMs: this.#clock.now() - this.#startedAt,
      error: result instanceof KeylessError ? result : undefined,
    };
    clientOperation.publish(message);
  }
}

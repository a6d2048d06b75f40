/**
 * The life of one operation: the PrivateKey is called once, and whatever it does, the operation settles once.
 *
 * States, one way: pending -> settled, or pending -> overdue -> settled. An answer that comes later is ignored.
 */
import type { AsyncResource } from 'node:async_hooks';
import { performance } from 'node:perf_hooks';
import { inspect } from 'node:util';
import { isUint8Array } from 'node:util/types';
import { systemClock } from '../clock.ts';
import { Deadlines, type Timed } from '../deadlines.ts';
import { KeylessError } from '../errors.ts';
import { Answered } from '../keys/answered-by.ts';
import { type CancelSignal, kCancelSignal, OperationCancelSignal } from '../keys/cancel-signal.ts';
import { kOriginal } from '../keys/original-operation.ts';
import type {
  DecryptOperation,
  Operation,
  OperationResult,
  SignatureScheme,
  SignOperation,
} from '../keys/private-key.ts';
import { setImmediate } from '../timers.ts';
import type { RawOperation } from './addon.ts';
import { operationEnd, operationStart } from './channels.ts';
import type { KeyEntry } from './key-entry.ts';
import { schemeName } from './schemes.ts';

/** Where the operation's handshake takes place. */
export interface OperationOrigin {
  readonly role: 'server' | 'client';
  readonly peerAddress: string | undefined;
  readonly localAddress: string | undefined;
  /** When the handshake itself ends, by `performance.now()`; Infinity: never. */
  readonly handshakeDeadline: number;
}

/** Where a {@link PendingOperation} comes from. */
export interface ScopedOrigin extends OperationOrigin {
  /** The connection's asynchronous context, in which the PrivateKey is called and told. */
  readonly scope: AsyncResource;
}

/** Takes the result, or why there is none. Called once. */
export type OnSettled = (result: Uint8Array | KeylessError) => void;

/**
 * The operation as the PrivateKey sees it. Its addresses and its signal cost nothing until they are read; the rest is its own, so that
 * a copy has it, too. Behind an object that inherits from it, or a Proxy, it finds itself by {@link kOriginal}.
 */
export class OperationView extends Answered {
  readonly kind: 'sign' | 'decrypt';
  readonly scheme: SignatureScheme | undefined;
  readonly message: Buffer | undefined;
  readonly ciphertext: Buffer | undefined;
  readonly clientVersion: number;
  readonly deadline: number;
  readonly keyId: Buffer;
  readonly certificate: Buffer;
  readonly role: 'server' | 'client';
  readonly servername: string | undefined;
  readonly [kOriginal]: this = this;
  readonly #origin: OperationOrigin;
  #controller: AbortController | undefined;
  #cancelSignal: OperationCancelSignal | undefined;
  #aborted: KeylessError | undefined;

  constructor(raw: RawOperation, entry: KeyEntry, origin: OperationOrigin, deadline: number) {
    super();
    const isDecrypt = raw.scheme === 0;
    this.kind = isDecrypt ? 'decrypt' : 'sign';
    this.scheme = isDecrypt ? undefined : schemeName(raw.scheme, entry.curve);
    this.message = isDecrypt ? undefined : raw.input;
    this.ciphertext = isDecrypt ? raw.input : undefined;
    this.clientVersion = raw.clientVersion;
    this.deadline = deadline;
    this.keyId = entry.keyId;
    this.certificate = entry.certificate;
    this.role = origin.role;
    this.servername = raw.name?.toString('latin1');
    this.#origin = origin;
  }

  /** For whoever writes down what a diagnostics channel tells: not what is signed, nor a ciphertext. */
  toJSON(): object {
    const { kind, scheme, role, servername, keyId, deadline } = this;
    return { kind, scheme, role, servername, keyId: keyId.toString('hex'), deadline };
  }
  [inspect.custom](): object {
    return this.toJSON();
  }

  get peerAddress(): string | undefined {
    return this[kOriginal].#origin.peerAddress;
  }
  get localAddress(): string | undefined {
    return this[kOriginal].#origin.localAddress;
  }
  get signal(): AbortSignal {
    return this[kOriginal].#signal();
  }
  /** Whoever inherits from it may have another signal. */
  get [kCancelSignal](): CancelSignal | undefined {
    return this === this[kOriginal] ? this.#cheaperSignal() : undefined;
  }

  #signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#aborted !== undefined) this.#controller.abort(this.#aborted);
    return this.#controller.signal;
  }

  #cheaperSignal(): CancelSignal {
    this.#cancelSignal ??= new OperationCancelSignal();
    if (this.#aborted !== undefined) this.#cancelSignal.abort(this.#aborted);
    return this.#cancelSignal;
  }

  /** The first reason stands. */
  abort(reason: KeylessError): void {
    this.#aborted ??= reason;
    this.#cancelSignal?.abort(reason);
    this.#controller?.abort(reason);
  }
}

/** How often a PrivateKey may answer again when its answer was refused. */
const MOST_REPEATS = 2;

/** Even a look at what a PrivateKey hands over may throw. */
function orElse<T>(look: () => T, otherwise: T): T {
  try {
    return look();
  } catch {
    return otherwise;
  }
}

/** @param look at a member that a PrivateKey may have */
function isFunction(look: () => unknown): boolean {
  return orElse(() => typeof look() === 'function', false);
}

function describeValue(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  return typeof value === 'object'
    ? `an object (${value.constructor?.name ?? 'no class'})`
    : `a ${typeof value}`;
}

/** Whoever implements a PrivateKey may answer anything. */
export function badResult(value: unknown): KeylessError {
  return new KeylessError(
    'ERR_KEYLESS_BAD_RESULT',
    `The PrivateKey answered with ${orElse(() => describeValue(value), 'an object')}; it must answer with a Uint8Array or a promise of one.`,
  );
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}

/** Whoever implements a PrivateKey may throw anything; a KeylessError says already what it has to say. */
export function operationFailed(cause: unknown): KeylessError {
  if (orElse(() => cause instanceof KeylessError, false)) return cause as KeylessError;
  const said = orElse(() => (cause instanceof Error ? `: ${cause.message}` : ''), '');
  return new KeylessError('ERR_KEYLESS_OPERATION_FAILED', `The private-key operation failed${said}`, {
    cause,
  });
}

function isTimeOut(result: Uint8Array | KeylessError): boolean {
  return !isUint8Array(result) && orElse(() => result.code === 'ERR_KEYLESS_TIMEOUT', false);
}

/** Whether an operation holds the process depends on its socket: lib/engine/process-hold.ts. */
const deadlines = new Deadlines<PendingOperation>(systemClock, { holdsProcess: false });

/** One call of a PrivateKey. */
export class PendingOperation implements Timed {
  private readonly view: OperationView;
  private readonly entry: KeyEntry;
  private readonly scope: AsyncResource;
  private readonly onSettled: OnSettled;
  private readonly startedAt: number;
  private settled = false;
  /** Its time is over; until the end of this turn of the loop the PrivateKey may say what it waited for. */
  private isOverdue = false;
  private repeats = 0;

  /** @param onSettled is called once, in {@link start} or later */
  constructor(raw: RawOperation, entry: KeyEntry, origin: ScopedOrigin, onSettled: OnSettled) {
    this.startedAt = performance.now();
    const deadline = Math.min(this.startedAt + entry.timeoutMs, origin.handshakeDeadline);
    this.view = new OperationView(raw, entry, origin, deadline);
    this.entry = entry;
    this.scope = origin.scope;
    this.onSettled = onSettled;
  }

  /** One more millisecond: timers are of whole ones, and a deadline that the handshake's own time-out shares is its. */
  get deadline(): number {
    return this.view.deadline + 1;
  }

  /** Calls the PrivateKey; settles at once where it answers at once. */
  start(): void {
    if (operationStart.hasSubscribers) operationStart.publish({ operation: this.operation });
    let answer: unknown;
    try {
      answer = this.call();
    } catch (error) {
      this.settle(operationFailed(error));
      return;
    }
    this.receive(answer);
  }

  /**
   * The answer was refused: whoever has another one may give it, until the deadline.
   *
   * @returns whether it is pending again, or has settled again meanwhile
   */
  startAgain(refused: KeylessError): boolean {
    const { key } = this.entry;
    const mayRepeat = this.repeats < MOST_REPEATS && performance.now() < this.view.deadline;
    if (this.view.kind !== 'sign' || !mayRepeat || !isFunction(() => key.signAgain)) {
      this.tellRefused(refused);
      return false;
    }
    this.repeats += 1;
    let answer: unknown;
    try {
      answer = key.signAgain!(this.operation as SignOperation, refused);
    } catch {
      return false;
    }
    if (answer === undefined) return false;
    this.settled = false;
    if (operationStart.hasSubscribers) operationStart.publish({ operation: this.operation });
    this.receive(answer);
    return true;
  }

  /** The PrivateKey wants to know of answers that are refused, and of signatures that the peer refuses later. */
  get hearsOfRefusals(): boolean {
    return isFunction(() => this.entry.key.onRefused);
  }

  /** Whatever it throws, the handshake has failed already. */
  tellRefused(refused: KeylessError): void {
    if (!this.hearsOfRefusals) return;
    const tell = () => this.entry.key.onRefused!(this.operation, refused);
    this.scope.runInAsyncScope(() => orElse(tell, undefined));
  }

  /** Its result is checked with the certificate before use. */
  get verifies(): boolean {
    const { verify, isRsa } = this.entry;
    if (verify !== 'rsa') return verify === 'always';
    return isRsa || Answered.by(this.view)?.isSuspect === true;
  }

  /** The connection has gone: the PrivateKey is told, its answer is ignored. */
  cancel(): void {
    if (this.settled) return;
    this.settled = true;
    deadlines.remove(this);
    const error = new KeylessError(
      'ERR_KEYLESS_ABORTED',
      'The connection went away while its operation was pending.',
    );
    this.publishEnd(error);
    this.view.abort(error);
  }

  private get operation(): Operation {
    return this.view as unknown as Operation;
  }

  private call(): OperationResult | undefined {
    const { key, schemes } = this.entry;
    if (this.view.kind === 'decrypt') {
      if (key.decrypt === undefined) throw unsupported('RSA key exchange');
      return key.decrypt(this.operation as DecryptOperation);
    }
    const { scheme } = this.view;
    if (scheme === undefined || (schemes !== undefined && !schemes.includes(scheme))) {
      throw unsupported(scheme ?? 'an unknown scheme');
    }
    return key.sign(this.operation as SignOperation);
  }

  private receive(answer: unknown): void {
    let isLater = false;
    try {
      isLater = isThenable(answer);
      if (isLater) this.wait(answer as PromiseLike<unknown>);
    } catch (error) {
      this.settle(operationFailed(error));
      return;
    }
    if (!isLater) this.take(answer);
  }

  private wait(answer: PromiseLike<unknown>): void {
    deadlines.add(this);
    // A promise calls back on a stack of its own. Somebody else's object may do so near the end of a deep one.
    Promise.resolve(answer).then(
      (value) => this.take(value),
      (error: unknown) => this.settle(operationFailed(error)),
    );
  }

  timeOut(): void {
    this.scope.runInAsyncScope(this.giveUp, this);
  }

  /**
   * The PrivateKey's own alarm is for the same moment, and may come after ours: who was asked, and what he failed with, the key
   * knows, and says when its signal fires.
   */
  private giveUp(): void {
    const waited = Math.round(performance.now() - this.startedAt);
    const error = new KeylessError(
      'ERR_KEYLESS_TIMEOUT',
      `The PrivateKey did not answer within ${waited} ms. Is its key server reachable, and "timeoutMs" long enough?`,
    );
    this.isOverdue = true;
    deadlines.remove(this);
    setImmediate(() => this.settle(error));
    this.view.abort(error);
  }

  private take(value: unknown): void {
    this.settle(isUint8Array(value) ? value : badResult(value));
  }

  private settle(result: Uint8Array | KeylessError): void {
    if (this.settled || (this.isOverdue && !isTimeOut(result))) return;
    this.settled = true;
    deadlines.remove(this);
    this.publishEnd(isUint8Array(result) ? undefined : result);
    this.onSettled(result);
  }

  private publishEnd(error: KeylessError | undefined): void {
    if (!operationEnd.hasSubscribers) return;
    const durationMs = performance.now() - this.startedAt;
    operationEnd.publish({ operation: this.operation, durationMs, error });
  }
}

function unsupported(what: string): KeylessError {
  return new KeylessError(
    'ERR_KEYLESS_UNSUPPORTED_SCHEME',
    `The handshake chose ${what}, which the PrivateKey does not offer. Narrow the peer's or the server's ` +
      '"sigalgs" and "ciphers", or give a key that can do it.',
  );
}

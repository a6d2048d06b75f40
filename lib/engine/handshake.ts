/**
 * A TLS endpoint without a socket: bytes in, bytes out, on the same native code as Node's sockets. For other
 * transports, for deterministic tests, and for seeing how a handshake that wants its private key goes.
 *
 * The states are OpenSSL's own SSL_ERROR_WANT_* manner: the caller does what is wanted and goes on.
 */
import { X509Certificate } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { isUint8Array } from 'node:util/types';
import { systemClock } from '../clock.ts';
import { Deadlines, type Timed } from '../deadlines.ts';
import { KeylessError } from '../errors.ts';
import type { Operation, PrivateKey, VerifyPolicy } from '../keys/private-key.ts';
import { addon, HandshakeStep, pendingOperation } from './addon.ts';
import { contextLimits, giveKeys } from './contexts.ts';
import {
  checkBytes,
  checkCertificates,
  endpointOptions,
  type HandshakeOptions,
} from './handshake-options.ts';
import type { KeyEntry } from './key-entry.ts';
import { badResult, OperationView, operationFailed } from './operation.ts';
import { resultError } from './result-error.ts';

/** What a {@link Handshake} waits for, or how it ended. */
export type HandshakeState = 'WANT_READ' | 'WANT_WRITE' | 'WANT_SIGN' | 'WANT_DECRYPT' | 'DONE' | 'FAILED';

/** Whoever answers holds the process, or does not. */
const deadlines = new Deadlines<Timed>(systemClock, { holdsProcess: false });

/** A key whose operations the caller performs. */
function callersKey(key: Partial<PrivateKey>): PrivateKey {
  const unused = (): never => {
    throw new KeylessError('ERR_KEYLESS_STATE', 'The operations of a Handshake are answered with supply().');
  };
  return { ...key, sign: unused, decrypt: unused };
}

/**
 * One side of a TLS connection.
 *
 * Owner: the caller, who calls {@link close}. States: see {@link state}.
 */
export class Handshake {
  readonly #endpoint: number;
  readonly #id: number;
  readonly #role: 'server' | 'client';
  readonly #entries: readonly KeyEntry[];
  #state: HandshakeState;
  #error: KeylessError | undefined;
  #operation: OperationView | undefined;
  #entry: KeyEntry | undefined;
  #timed: Timed | undefined;
  #closed = false;

  /**
   * @throws KeylessError ERR_KEYLESS_INVALID_ARGUMENT, ERR_KEYLESS_NO_CERTIFICATE, ERR_KEYLESS_KEY_MISMATCH,
   *   ERR_KEYLESS_UNSUPPORTED_KEY, ERR_KEYLESS_PLATFORM, ERR_KEYLESS_HANDSHAKE where OpenSSL does not take an option
   */
  constructor(options: HandshakeOptions) {
    const { endpoint, entries } = createEndpoint(options);
    this.#endpoint = endpoint;
    this.#entries = entries;
    this.#id = startEndpoint(endpoint, entries, options.sigalgs);
    this.#role = options.role;
    this.#state = options.role === 'server' ? 'WANT_READ' : 'WANT_WRITE';
    if (options.role === 'client') this.#take(addon().drive(this.#id, false, false));
  }

  /**
   * `WANT_READ`: the peer's bytes are needed ({@link feed}). `WANT_WRITE`: bytes for the peer are there ({@link drain}).
   * `WANT_SIGN`, `WANT_DECRYPT`: {@link operation} waits for {@link supply} or {@link fail}. `DONE`: application data
   * may be written and read. `FAILED`: see {@link error}.
   */
  get state(): HandshakeState {
    return this.#state;
  }
  /**
   * The pending operation; `undefined` in other states than WANT_SIGN and WANT_DECRYPT. At its `deadline` it fails by itself, with
   * ERR_KEYLESS_TIMEOUT, and then its `signal` fires: there may be something to {@link drain}.
   */
  get operation(): Operation | undefined {
    return this.#operation as unknown as Operation | undefined;
  }
  /** Why the state is FAILED. */
  get error(): KeylessError | undefined {
    return this.#error;
  }
  /** What was negotiated so far. */
  get info(): {
    protocol: string;
    cipher: string | undefined;
    alpnProtocol: string | undefined;
    servername: string | undefined;
  } {
    this.#checkOpen();
    return addon().describe(this.#endpoint);
  }

  /**
   * Takes bytes from the peer, in pieces of any size, and goes on with the handshake where that is possible.
   *
   * @throws KeylessError ERR_KEYLESS_HANDSHAKE where more than OpenSSL keeps (some 1.6 GB) waits to be read; none of them is taken
   */
  feed(bytes: Uint8Array): HandshakeState {
    this.#checkOpen();
    checkBytes('bytes', bytes);
    if (!addon().feed(this.#endpoint, bytes)) throw refused('take these bytes');
    if (this.#state === 'WANT_READ' || this.#state === 'WANT_WRITE')
      this.#take(addon().drive(this.#id, false, false));
    return this.#state;
  }

  /** @returns what is to be sent to the peer, perhaps nothing; in every state, also FAILED (an alert) */
  drain(): Buffer {
    this.#checkOpen();
    const bytes = addon().drain(this.#endpoint);
    if (this.#state === 'WANT_WRITE') this.#state = 'WANT_READ';
    return bytes;
  }

  /**
   * Answers the pending operation, at any time from when it appeared to its deadline.
   *
   * @param result as of PrivateKey's sign or decrypt
   * @throws KeylessError ERR_KEYLESS_STATE where nothing is pending; ERR_KEYLESS_BAD_RESULT, ERR_KEYLESS_BAD_SIGNATURE
   *   for what is not a result of this operation, which then still waits
   */
  supply(result: Uint8Array): HandshakeState {
    const entry = this.#pendingEntry();
    if (!isUint8Array(result)) throw badResult(result);
    const step = addon().supply(this.#id, result, verifies(entry.verify, entry.isRsa));
    if (step < 0) throw resultError(step, result);
    this.#take(step);
    return this.#state;
  }

  /** Ends the pending operation without a result. @throws KeylessError ERR_KEYLESS_STATE where nothing is pending */
  fail(error: Error): HandshakeState {
    this.#pendingEntry();
    this.#error = operationFailed(error);
    this.#take(addon().fail(this.#id));
    return this.#state;
  }

  /** Encrypts application data; the bytes for the peer come from {@link drain}. Only in DONE. */
  write(data: Uint8Array): void {
    this.#checkDone();
    checkBytes('data', data);
    if (data.byteLength > 0 && !addon().write(this.#endpoint, data)) throw refused('encrypt');
  }

  /**
   * Only in DONE, which it leaves for FAILED when the peer's bytes are no TLS records or hold a fatal alert.
   *
   * @returns the application data received so far; empty: none
   */
  read(): Buffer {
    this.#checkDone();
    const pieces: Buffer[] = [];
    const piece = Buffer.alloc(16_384);
    for (
      let size = addon().read(this.#endpoint, piece);
      size > 0;
      size = addon().read(this.#endpoint, piece)
    ) {
      pieces.push(Buffer.from(piece.subarray(0, size)));
    }
    const reason = addon().takeReason();
    if (reason !== undefined) this.#fail('connection', reason);
    return Buffer.concat(pieces);
  }

  /** Gives all memory back, whatever the state; a pending operation is over. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const operation = this.#settle();
    operation?.abort(new KeylessError('ERR_KEYLESS_ABORTED', 'The Handshake was closed.'));
    addon().removeEndpoint(this.#endpoint);
  }

  #checkOpen(): void {
    if (this.#closed) throw new KeylessError('ERR_KEYLESS_STATE', 'The Handshake is closed.');
  }

  #checkDone(): void {
    this.#checkOpen();
    if (this.#state === 'DONE') return;
    throw new KeylessError('ERR_KEYLESS_STATE', `The Handshake is in the state ${this.#state}, not DONE.`);
  }

  #pendingEntry(): KeyEntry {
    this.#checkOpen();
    if (this.#operation === undefined || this.#entry === undefined) {
      throw new KeylessError(
        'ERR_KEYLESS_STATE',
        `The Handshake is in the state ${this.#state}: no operation waits.`,
      );
    }
    return this.#entry;
  }

  #take(step: number): void {
    while (addon().replay(this.#id));
    this.#settle();
    switch (step) {
      case HandshakeStep.WANT_SIGN:
      case HandshakeStep.WANT_DECRYPT:
        this.#expose();
        return;
      case HandshakeStep.DONE:
        this.#state = 'DONE';
        return;
      case HandshakeStep.FAILED:
        this.#fail('handshake', addon().takeReason());
        return;
      default:
        this.#state = this.#hasOutput() ? 'WANT_WRITE' : 'WANT_READ';
    }
  }

  /** @returns the operation that does not wait any more */
  #settle(): OperationView | undefined {
    const operation = this.#operation;
    this.#operation = undefined;
    if (this.#timed !== undefined) deadlines.remove(this.#timed);
    this.#timed = undefined;
    return operation;
  }

  #timeOut(operation: OperationView): void {
    const { timeoutMs } = this.#pendingEntry();
    const error = new KeylessError(
      'ERR_KEYLESS_TIMEOUT',
      `The operation of the Handshake was not answered within ${timeoutMs} ms, the "timeoutMs" of its "key".`,
    );
    this.fail(error);
    operation.abort(error);
  }

  #hasOutput(): boolean {
    return addon().pendingOutput(this.#endpoint) > 0;
  }

  #expose(): void {
    const raw = pendingOperation(this.#id);
    this.#entry = this.#entries.find(({ number }) => number === raw?.key);
    if (raw === undefined || this.#entry === undefined) throw refused('expose its operation');
    this.#state = raw.scheme === 0 ? 'WANT_DECRYPT' : 'WANT_SIGN';
    const origin = {
      role: this.#role,
      peerAddress: undefined,
      localAddress: undefined,
      handshakeDeadline: Number.POSITIVE_INFINITY,
    };
    const deadline = performance.now() + this.#entry.timeoutMs;
    const operation = new OperationView(raw, this.#entry, origin, deadline);
    this.#operation = operation;
    this.#timed = { deadline, timeOut: () => this.#timeOut(operation) };
    deadlines.add(this.#timed);
  }

  #fail(what: 'handshake' | 'connection', reason = 'no reason given'): void {
    this.#state = 'FAILED';
    this.#error ??= new KeylessError('ERR_KEYLESS_HANDSHAKE', `The TLS ${what} failed: ${reason}.`);
  }
}

function verifies(policy: VerifyPolicy, isRsa: boolean): boolean {
  return policy === 'always' || (policy === 'rsa' && isRsa);
}

function refused(what: string): KeylessError {
  const reason = addon().takeReason() ?? 'no reason given';
  return new KeylessError('ERR_KEYLESS_HANDSHAKE', `OpenSSL could not ${what}: ${reason}.`);
}

/** Whatever fails, nothing is left. */
function orRemove<T>(endpoint: number, work: () => T): T {
  try {
    return work();
  } catch (error) {
    addon().removeEndpoint(endpoint);
    throw error;
  }
}

function createEndpoint(options: HandshakeOptions): { endpoint: number; entries: KeyEntry[] } {
  const raw = endpointOptions(options);
  addon().beginContext();
  const endpoint = addon().createEndpoint(raw);
  if (endpoint === undefined) throw refused('take these options');
  return orRemove(endpoint, () => {
    checkCertificates(raw);
    const { key } = options;
    if (key === undefined) return { endpoint, entries: [] };
    const certificates = raw.certificateChains.map((chain) => new X509Certificate(chain));
    return { endpoint, entries: giveKeys([callersKey(key)], certificates, false) };
  });
}

function startEndpoint(endpoint: number, entries: readonly KeyEntry[], list: string | undefined): number {
  return orRemove(endpoint, () => {
    const { sigalgs, peerSigalgs } = contextLimits(entries, list, true);
    const id = addon().startEndpoint(endpoint);
    if (id === undefined) throw refused('start');
    if (sigalgs !== undefined) addon().limitSignatures(id, sigalgs, peerSigalgs);
    return id;
  });
}

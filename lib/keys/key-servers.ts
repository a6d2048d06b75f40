/** A PrivateKey whose private half is on key servers: for every certificate of which they hold the key. */
import type { Profile } from '../client/connection.ts';
import type { ErrandResult } from '../client/errand.ts';
import type { ErrandRequest } from '../client/errand-request.ts';
import type { KeyServerSet, SetStats } from '../client/key-server-set.ts';
import type { KnownServer } from '../client/known-server.ts';
import { laneOf } from '../client/lane.ts';
import { subjectOf } from '../client/refusals.ts';
import type { SrvWatch } from '../client/srv-watch.ts';
import { type Clock, systemClock } from '../clock.ts';
import { KeylessError } from '../errors.ts';
import { CustomFunction } from '../protocol/opcodes.ts';
import {
  premasterRequest,
  type RequestContext,
  rawDecryptRequest,
  signRequest,
  ticketKeysRequest,
} from '../protocol/request-encoder.ts';
import { functionOfScheme, SIGNING_METHODS } from '../protocol/schemes.ts';
import { Answered } from './answered-by.ts';
import { cancelSignalOf } from './cancel-signal.ts';
import {
  DEFAULT_TIMEOUT_MS,
  type EdgeCredentials,
  type KeyServersOptions,
  MAX_INTEGER,
  milliseconds,
  ofType,
  openSet,
  schemesOf,
  secureContextOf,
  verifyOf,
  watchSrv,
} from './key-servers-options.ts';
import { originalOf, usableOperation } from './original-operation.ts';
import type { DecryptOperation, Operation, PrivateKey, SignOperation } from './private-key.ts';
import { requestContext } from './request-context.ts';

export type { ServerStats } from '../client/server-stats.ts';
export type { ResolveSrv, SrvRecord } from '../client/srv-watch.ts';
export type { EdgeCredentials, KeyServersOptions } from './key-servers-options.ts';

/** See {@link connectKeyServers}. */
export type KeyServersStats = SetStats;

class KeyServers implements PrivateKey {
  readonly schemes: PrivateKey['schemes'];
  readonly timeoutMs: number;
  readonly verify: PrivateKey['verify'];
  readonly decrypt: ((operation: DecryptOperation) => Promise<Uint8Array>) | undefined;
  readonly #set: KeyServerSet;
  readonly #srv: SrvWatch | undefined;
  readonly #clock: Clock;
  readonly #sendAddresses: boolean;
  /** Who answered wrongly, by operation. */
  readonly #wrong = new WeakMap<Operation, readonly KnownServer[]>();

  constructor(options: KeyServersOptions) {
    this.timeoutMs = milliseconds('timeoutMs', options.timeoutMs, DEFAULT_TIMEOUT_MS);
    this.schemes = schemesOf(options);
    this.verify = verifyOf(options);
    this.#clock = options.clock ?? systemClock;
    this.#sendAddresses = ofType('sendAddresses', options.sendAddresses, 'boolean') === true;
    const decrypts = ofType('decrypt', options.decrypt, 'boolean') !== false;
    milliseconds('srvIntervalMs', options.srvIntervalMs, 30_000);
    ofType('resolveSrv', options.resolveSrv, 'function');
    this.#set = openSet(options, () => this.#srv?.hurry());
    this.#srv = watchSrv(options, this.#set);
    if (decrypts) this.decrypt = (operation) => this.#decrypt(operation);
  }

  sign(operation: SignOperation): Promise<Uint8Array> {
    return this.#sign(operation);
  }

  /** RSA results are verified before use, and all are looked at: a key server that answers wrongly is not the only one. */
  signAgain(operation: SignOperation, refused: KeylessError): Promise<Uint8Array> | undefined {
    const original = originalOf(operation);
    const wrong = Answered.by(original) as KnownServer | undefined;
    if (wrong === undefined) return undefined;
    const avoid = [...(this.#wrong.get(original) ?? []), wrong];
    this.#wrong.set(original, avoid);
    const isOver = !this.#set.mayAskOthers(avoid);
    this.#set.takeBack(wrong, subjectOf(operation.scheme, operation.keyId), refused.code, isOver);
    return isOver ? undefined : this.#sign(operation, avoid);
  }

  /** The handshake has failed by it; the next ones need not. */
  onRefused(operation: Operation, refused: KeylessError): void {
    const wrong = Answered.by(originalOf(operation)) as KnownServer | undefined;
    if (wrong === undefined) return;
    const method = operation.kind === 'sign' ? operation.scheme : operation.kind;
    this.#set.takeBack(wrong, subjectOf(method, operation.keyId), refused.code, true);
  }

  #sign(given: SignOperation, avoid?: readonly KnownServer[]): Promise<Uint8Array> {
    const operation = usableOperation(given, 'message');
    if (operation instanceof KeylessError) return Promise.reject(operation);
    const { scheme, message } = operation;
    if (!Object.hasOwn(SIGNING_METHODS, scheme)) {
      const error = `The protocol of key servers does not know ${String(scheme)}.`;
      return Promise.reject(new KeylessError('ERR_KEYLESS_UNSUPPORTED_SCHEME', error));
    }
    const items = (profile: Profile) => signRequest(scheme, message, this.#context(operation, profile));
    const functionFor =
      SIGNING_METHODS[scheme].opcode === undefined ? () => functionOfScheme(scheme) : undefined;
    const request = {
      kind: 'sign',
      method: scheme,
      keyId: operation.keyId,
      lane: laneOf(scheme),
      functionFor,
      items,
      deadline: this.#deadline(operation),
      signal: cancelSignalOf(operation),
      avoid,
    } as const;
    return this.#request(request, originalOf(operation));
  }

  #context(operation: Operation, profile: Profile): RequestContext {
    return requestContext(operation, profile, this.#sendAddresses);
  }

  /**
   * Ours answer with 48 bytes, those of the field with the raw block, which the engine looks at.
   *
   * Ours all answer the same, whatever the ciphertext holds, and may be asked at once. Of the field one may answer what is
   * badly padded with an error: to wait for another one's answer then would take time, by which a client could tell.
   */
  #decrypt(given: DecryptOperation): Promise<Uint8Array> {
    const operation = usableOperation(given, 'ciphertext');
    if (operation instanceof KeylessError) return Promise.reject(operation);
    const { ciphertext, clientVersion } = operation;
    const items = (profile: Profile) => {
      const context = this.#context(operation, profile);
      if (profile === 'ours') return premasterRequest(ciphertext, clientVersion, context);
      return rawDecryptRequest(ciphertext, context);
    };
    const request = {
      kind: 'decrypt',
      method: 'decrypt',
      keyId: operation.keyId,
      lane: 'slow',
      functionFor: (profile: Profile) => (profile === 'ours' ? CustomFunction.RSA_PREMASTER : undefined),
      hedgedAt: 'ours',
      items,
      deadline: this.#deadline(operation),
      signal: cancelSignalOf(operation),
    } as const;
    return this.#request(request, originalOf(operation));
  }

  /**
   * Resolves when a key server is connected and has answered.
   *
   * Rejects with ERR_KEYLESS_NO_KEY_SERVER when none could be connected; attempts go on nevertheless. With `startup: 'wait'` it waits
   * on, as operations do.
   */
  ready(): Promise<void> {
    return new Promise((resolve, reject) => {
      // Connections do not keep the process alive, whoever waits for one does. Each attempt ends by its own time-out.
      const alarm = this.#clock.after(MAX_INTEGER, () => undefined);
      alarm.ref();
      this.#set.whenReady((error) => {
        alarm.cancel();
        if (error === undefined) resolve();
        else reject(error);
      });
    });
  }

  /** The session-ticket keys of this edge's group, as the key servers give them: see `leaseTicketKeys`. Secret. */
  ticketKeys(): Promise<Uint8Array> {
    const deadline = this.#clock.now() + this.timeoutMs;
    return this.#request({
      kind: 'ticket-keys',
      method: 'ticket-keys',
      keyId: undefined,
      lane: 'quick',
      functionFor: () => CustomFunction.TICKET_KEYS,
      items: ticketKeysRequest,
      deadline,
      signal: undefined,
    });
  }

  /**
   * Other credentials, without a gap: each connection is replaced as soon as one with the new ones is ready, and finishes
   * what is under way. Where the key servers do not accept the new ones, the old connections serve on as long as they last.
   *
   * @throws what {@link connectKeyServers} throws for them, and the old ones stay
   */
  setCredentials(credentials: EdgeCredentials): void {
    this.#set.renew(secureContextOf(credentials));
  }

  stats(): KeyServersStats {
    return this.#set.stats();
  }

  /** Ends the connections; pending operations fail with ERR_KEYLESS_CLOSED. */
  close(): void {
    this.#srv?.close();
    this.#set.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Of the clock. */
  #deadline({ deadline }: Operation): number {
    const latest = this.#clock.now() + this.timeoutMs;
    return Math.min(deadline ?? latest, latest);
  }

  #request(request: ErrandRequest, operation?: Operation): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      this.#set.request(request, (result: ErrandResult, server) => {
        if (operation !== undefined) Answered.note(operation, server);
        if (result instanceof KeylessError) reject(result);
        else resolve(result);
      });
    });
  }
}

export type { KeyServers };

/**
 * Connects to key servers, now, and keeps connected. The connections do not keep the process alive; an operation that
 * is pending does.
 *
 * @returns a PrivateKey for `key` of servers and clients, any number of them
 * @throws ERR_KEYLESS_INVALID_ARGUMENT for options that are missing or wrong; what node:tls throws for bad PEM
 */
export function connectKeyServers(options: KeyServersOptions): KeyServers {
  if (Object(options) !== options)
    throw new KeylessError(
      'ERR_KEYLESS_INVALID_ARGUMENT',
      'connectKeyServers() needs options: "servers" or "srv", and "cert", "key" and "ca".',
    );
  return new KeyServers(options);
}

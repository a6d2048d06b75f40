/** A PrivateKey whose private half is on key servers: for every certificate of which they hold the key. */
import tls from 'node:tls';
import { DEFAULT_BACK_OFF } from '../client/back-off.ts';
import type { Profile } from '../client/connection.ts';
import type { ErrandRequest, ErrandResult } from '../client/errand.ts';
import { KeyServerSet, type SetStats } from '../client/key-server-set.ts';
import type { KnownServer } from '../client/known-server.ts';
import { parseServerAddress } from '../client/server-address.ts';
import { type Clock, systemClock } from '../clock.ts';
import { KeylessError } from '../errors.ts';
import {
  premasterRequest,
  type RequestContext,
  rawDecryptRequest,
  signRequest,
  ticketKeysRequest,
} from '../protocol/request-encoder.ts';
import { SIGNING_METHODS } from '../protocol/schemes.ts';
import { kAnsweredBy } from './answered-by.ts';
import { cancelSignalOf } from './cancel-signal.ts';
import type {
  DecryptOperation,
  Operation,
  PrivateKey,
  SignatureScheme,
  SignOperation,
} from './private-key.ts';
import { requestContext } from './request-context.ts';

export type { ServerStats } from '../client/known-server.ts';

/** Options of {@link connectKeyServers}. */
export interface KeyServersOptions {
  /** `host:port`, `[IPv6 address]:port`, or a host alone for port 2407. */
  readonly servers: readonly string[];
  /** This edge's own certificate and key for mutual TLS, PEM: not those of the sites it serves. */
  readonly cert: tls.SecureContextOptions['cert'];
  readonly key: tls.SecureContextOptions['key'];
  readonly passphrase?: string | undefined;
  /** The CA of the key servers, PEM. */
  readonly ca: tls.SecureContextOptions['ca'];
  /** The name in the key servers' certificates; default the host of each. */
  readonly servername?: string | undefined;
  /** What the keys sign with; `undefined`: everything their types can. */
  readonly schemes?: readonly SignatureScheme[] | undefined;
  /** Milliseconds for one operation, 1 to 2,147,483,647; default 10,000. */
  readonly timeoutMs?: number | undefined;
  readonly verify?: PrivateKey['verify'];
  /** Whether RSA key exchange is offered, for certificates with an RSA key; default true. */
  readonly decrypt?: boolean | undefined;
  /**
   * Whether requests carry the IP addresses of the TLS client and server; default false: only to key servers of the field,
   * which may choose keys by them.
   */
  readonly sendAddresses?: boolean | undefined;
  /** Milliseconds for a connection to become usable; default 3,000. */
  readonly connectTimeoutMs?: number | undefined;
  /** Milliseconds of silence before a ping: below 30,000, when key servers of the field hang up; default 10,000. */
  readonly pingIntervalMs?: number | undefined;
  /** Milliseconds that a ping may take; default 800. */
  readonly pingTimeoutMs?: number | undefined;
  /** TLS connections to each key server, 1 to 64: the first takes what it can, the others are warm; default 2. */
  readonly connectionsPerServer?: number | undefined;
  /** Operations that wait while no key server is there, 0 to 1,000,000; more, and the oldest fail; default 10,000. */
  readonly maxWaiting?: number | undefined;
  /**
   * Operations while no key server has been reached since the start: `fail` (default): they fail at once when each has been
   * tried; `wait`: they wait, as they do once one was there.
   */
  readonly startup?: 'wait' | 'fail' | undefined;
  /** For tests. */
  readonly clock?: Clock | undefined;
}

/** See {@link connectKeyServers}. */
export type KeyServersStats = SetStats;

const DEFAULT_TIMEOUT_MS = 10_000;
const MAX_INTEGER = 2_147_483_647;

function milliseconds(name: string, value: number | undefined, fallback: number): number {
  const ms = value ?? fallback;
  if (Number.isInteger(ms) && ms >= 1 && ms <= MAX_INTEGER) return ms;
  throw new KeylessError(
    'ERR_KEYLESS_INVALID_ARGUMENT',
    `"${name}" must be whole milliseconds from 1 to ${MAX_INTEGER}, not ${String(ms)}.`,
  );
}

function count(
  name: string,
  value: number | undefined,
  fallback: number,
  least: number,
  most: number,
): number {
  const number = value ?? fallback;
  if (Number.isInteger(number) && number >= least && number <= most) return number;
  throw new KeylessError(
    'ERR_KEYLESS_INVALID_ARGUMENT',
    `"${name}" must be a whole number from ${least} to ${most}, not ${String(number)}.`,
  );
}

function startupOf({ startup = 'fail' }: KeyServersOptions): 'wait' | 'fail' {
  if (startup === 'wait' || startup === 'fail') return startup;
  throw new KeylessError('ERR_KEYLESS_INVALID_ARGUMENT', '"startup" must be "wait" or "fail".');
}

function secureContextOf({ cert, key, ca, passphrase }: KeyServersOptions): tls.SecureContext {
  for (const [name, value] of Object.entries({ cert, key, ca })) {
    if (value !== undefined && value !== null) continue;
    throw new KeylessError('ERR_KEYLESS_INVALID_ARGUMENT', `connectKeyServers() needs "${name}", PEM.`);
  }
  return tls.createSecureContext({
    cert,
    key,
    ca,
    minVersion: 'TLSv1.2',
    ...(passphrase === undefined ? {} : { passphrase }),
  });
}

function openSet(options: KeyServersOptions): KeyServerSet {
  if (!Array.isArray(options.servers) || options.servers.length === 0) {
    throw new KeylessError('ERR_KEYLESS_INVALID_ARGUMENT', '"servers" must name at least one key server.');
  }
  return new KeyServerSet({
    addresses: options.servers.map(parseServerAddress),
    servername: options.servername,
    secureContext: secureContextOf(options),
    connectTimeoutMs: milliseconds('connectTimeoutMs', options.connectTimeoutMs, 3000),
    pingIntervalMs: milliseconds('pingIntervalMs', options.pingIntervalMs, 10_000),
    pingTimeoutMs: milliseconds('pingTimeoutMs', options.pingTimeoutMs, 800),
    connectionsPerServer: count('connectionsPerServer', options.connectionsPerServer, 2, 1, 64),
    maxWaiting: count('maxWaiting', options.maxWaiting, 10_000, 0, 1_000_000),
    startup: startupOf(options),
    backOff: DEFAULT_BACK_OFF,
    clock: options.clock ?? systemClock,
  });
}

/** The engine's operations have a place for it. */
type NotedOperation = Operation & { [kAnsweredBy]?: KnownServer | undefined };

class KeyServers implements PrivateKey {
  readonly schemes: PrivateKey['schemes'];
  readonly timeoutMs: number;
  readonly verify: PrivateKey['verify'];
  readonly decrypt: ((operation: DecryptOperation) => Promise<Uint8Array>) | undefined;
  readonly #set: KeyServerSet;
  readonly #clock: Clock;
  readonly #sendAddresses: boolean;
  /** Who answered wrongly, by operation. */
  readonly #wrong = new WeakMap<Operation, readonly KnownServer[]>();

  constructor(options: KeyServersOptions) {
    this.timeoutMs = milliseconds('timeoutMs', options.timeoutMs, DEFAULT_TIMEOUT_MS);
    this.schemes = options.schemes;
    this.verify = options.verify;
    this.#clock = options.clock ?? systemClock;
    this.#sendAddresses = options.sendAddresses === true;
    this.#set = openSet(options);
    if (options.decrypt !== false) this.decrypt = (operation) => this.#decrypt(operation);
  }

  sign(operation: SignOperation): Promise<Uint8Array> {
    const { scheme } = operation;
    if (!Object.hasOwn(SIGNING_METHODS, scheme)) {
      const error = `The protocol of key servers does not know ${String(scheme)}.`;
      return Promise.reject(new KeylessError('ERR_KEYLESS_UNSUPPORTED_SCHEME', error));
    }
    return this.#sign(operation);
  }

  /** RSA results are verified before use, and all are looked at: a key server that answers wrongly is not the only one. */
  signAgain(operation: SignOperation, refused: KeylessError): Promise<Uint8Array> | undefined {
    const wrong = (operation as NotedOperation)[kAnsweredBy];
    if (wrong === undefined) return undefined;
    wrong.blame(refused.code);
    const avoid = [...(this.#wrong.get(operation) ?? []), wrong];
    this.#wrong.set(operation, avoid);
    return this.#set.hasOthers(avoid) ? this.#sign(operation, avoid) : undefined;
  }

  #sign(operation: SignOperation, avoid?: readonly KnownServer[]): Promise<Uint8Array> {
    const { scheme, message } = operation;
    const items = (profile: Profile) => signRequest(scheme, message, this.#context(operation, profile));
    return this.#ask(operation, 'sign', items, avoid);
  }

  #context(operation: Operation, profile: Profile): RequestContext {
    return requestContext(operation, profile, this.#sendAddresses);
  }

  /** Ours answer with 48 bytes, those of the field with the raw block, which the engine looks at. */
  #decrypt(operation: DecryptOperation): Promise<Uint8Array> {
    const { ciphertext, clientVersion } = operation;
    return this.#ask(operation, 'decrypt', (profile) => {
      const context = this.#context(operation, profile);
      if (profile === 'ours') return premasterRequest(ciphertext, clientVersion, context);
      return rawDecryptRequest(ciphertext, context);
    });
  }

  /**
   * Resolves when a key server is connected and has answered.
   *
   * Rejects with ERR_KEYLESS_NO_KEY_SERVER when none could be connected; attempts go on nevertheless.
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
    return this.#request({ kind: 'ticket-keys', items: ticketKeysRequest, deadline, signal: undefined });
  }

  stats(): KeyServersStats {
    return this.#set.stats();
  }

  /** Ends the connections; pending operations fail with ERR_KEYLESS_CLOSED. */
  close(): void {
    this.#set.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #ask(
    operation: Operation,
    kind: ErrandRequest['kind'],
    items: ErrandRequest['items'],
    avoid?: readonly KnownServer[],
  ): Promise<Uint8Array> {
    const latest = this.#clock.now() + this.timeoutMs;
    const deadline = Math.min(operation.deadline ?? latest, latest);
    return this.#request({ kind, items, deadline, signal: cancelSignalOf(operation), avoid }, operation);
  }

  #request(request: ErrandRequest, operation?: NotedOperation): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      this.#set.request(request, (result: ErrandResult, server) => {
        // Only the engine's operations have the place for it.
        if (operation !== undefined && kAnsweredBy in operation) operation[kAnsweredBy] = server;
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
  return new KeyServers(options);
}

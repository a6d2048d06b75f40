/** Options of `connectKeyServers`, checked, and what is made of them. */
import dns from 'node:dns';
import type { LookupFunction } from 'node:net';
import tls from 'node:tls';
import { DEFAULT_BACK_OFF } from '../client/back-off.ts';
import { KeyServerSet } from '../client/key-server-set.ts';
import { parseServerAddress, type ServerAddress } from '../client/server-address.ts';
import { type ResolveSrv, type SrvSettings, SrvWatch } from '../client/srv-watch.ts';
import { type Clock, systemClock } from '../clock.ts';
import { KeylessError } from '../errors.ts';
import { groupsOfEdge } from '../protocol/key-exchange.ts';
import { requireWholeCertificates } from '../protocol/pem-certificates.ts';
import { isGiven } from '../protocol/pem-given.ts';
import { SIGNING_METHODS } from '../protocol/schemes.ts';
import type { PrivateKey, SignatureScheme } from './private-key.ts';
import { isVerifyPolicy, VERIFY_POLICY_NEEDED } from './verify-policy.ts';

/** By what an edge and its key servers know each other. */
export interface EdgeCredentials {
  /** This edge's own certificate and key for mutual TLS, PEM: not those of the sites it serves. */
  readonly cert: tls.SecureContextOptions['cert'];
  readonly key: tls.SecureContextOptions['key'];
  readonly passphrase?: string | undefined;
  /** The CA of the key servers, PEM. */
  readonly ca: tls.SecureContextOptions['ca'];
}

/** Options of {@link connectKeyServers}: `servers` or `srv`. */
export interface KeyServersOptions extends EdgeCredentials {
  /** `host:port`, `[IPv6 address]:port`, or a host alone for port 2407. */
  readonly servers?: readonly string[] | undefined;
  /** A DNS SRV record that names them, for example `_keyless._tcp.internal`; instead of `servers`. */
  readonly srv?: string | undefined;
  /** Milliseconds until it is asked for again; default 30,000. While nobody can be reached it is asked each second. */
  readonly srvIntervalMs?: number | undefined;
  /** Resolves it, within 5 s; default `dns.promises.resolveSrv`. */
  readonly resolveSrv?: ResolveSrv | undefined;
  /** Resolves host names at each connect, as `dns.lookup` does, the default. */
  readonly lookup?: LookupFunction | undefined;
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
  /** Operations that wait while no key server is there, or has room for them, 0 to 1,000,000; more, and the oldest fail; default 10,000. */
  readonly maxWaiting?: number | undefined;
  /**
   * Operations while no key server has been reached since the start: `fail` (default): they fail at once when each has been
   * tried; `wait`: they wait, as they do once one was there.
   */
  readonly startup?: 'wait' | 'fail' | undefined;
  /** For tests. */
  readonly clock?: Clock | undefined;
}

export const DEFAULT_TIMEOUT_MS = 10_000;
export const MAX_INTEGER = 2_147_483_647;

/** @throws ERR_KEYLESS_INVALID_ARGUMENT */
export function milliseconds(name: string, value: number | undefined, fallback: number): number {
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

export function ofType<T>(name: string, value: T, type: 'string' | 'function' | 'boolean'): T {
  if (value === undefined || typeof value === type) return value;
  throw new KeylessError('ERR_KEYLESS_INVALID_ARGUMENT', `"${name}" must be a ${type}, not ${typeof value}.`);
}

/** @throws ERR_KEYLESS_INVALID_ARGUMENT */
export function schemesOf({ schemes }: KeyServersOptions): KeyServersOptions['schemes'] {
  if (schemes === undefined) return undefined;
  const isScheme = (name: unknown) => typeof name === 'string' && Object.hasOwn(SIGNING_METHODS, name);
  if (Array.isArray(schemes) && schemes.length > 0 && schemes.every(isScheme)) return schemes;
  throw new KeylessError(
    'ERR_KEYLESS_INVALID_ARGUMENT',
    '"schemes" must be an array of signature schemes by their names in RFC 8446, section 4.2.3.',
  );
}

/** @throws ERR_KEYLESS_INVALID_ARGUMENT */
export function verifyOf({ verify }: KeyServersOptions): PrivateKey['verify'] {
  if (verify === undefined || isVerifyPolicy(verify)) return verify;
  throw new KeylessError('ERR_KEYLESS_INVALID_ARGUMENT', `${VERIFY_POLICY_NEEDED}.`);
}

function startupOf({ startup = 'fail' }: KeyServersOptions): 'wait' | 'fail' {
  if (startup === 'wait' || startup === 'fail') return startup;
  throw new KeylessError('ERR_KEYLESS_INVALID_ARGUMENT', '"startup" must be "wait" or "fail".');
}

/** @throws ERR_KEYLESS_INVALID_ARGUMENT */
export function secureContextOf(credentials: EdgeCredentials): tls.SecureContext {
  const { cert, key, ca, passphrase } = Object(credentials) as EdgeCredentials;
  for (const [name, value] of Object.entries({ cert, key, ca })) {
    if (isGiven(value)) continue;
    throw new KeylessError('ERR_KEYLESS_INVALID_ARGUMENT', `connectKeyServers() needs "${name}", PEM.`);
  }
  requireWholeCertificates({ cert, ca });
  return tls.createSecureContext({
    cert,
    key,
    ca,
    minVersion: 'TLSv1.2',
    ecdhCurve: groupsOfEdge(),
    ...(passphrase === undefined ? {} : { passphrase }),
  });
}

function addressesOf({ servers, srv }: KeyServersOptions): readonly ServerAddress[] {
  const isNamed = typeof srv === 'string' && srv !== '' && servers === undefined;
  if (isNamed) return [];
  if (srv === undefined && Array.isArray(servers) && servers.length > 0)
    return servers.map(parseServerAddress);
  throw new KeylessError(
    'ERR_KEYLESS_INVALID_ARGUMENT',
    'Either "servers" must name at least one key server, or "srv" a DNS SRV record.',
  );
}

/** @throws ERR_KEYLESS_INVALID_ARGUMENT */
export function openSet(options: KeyServersOptions, onNobody: () => void): KeyServerSet {
  return new KeyServerSet({
    addresses: addressesOf(options),
    onNobody,
    servername: ofType('servername', options.servername, 'string'),
    lookup: ofType('lookup', options.lookup, 'function'),
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

/** As `dns.promises` does, whose questions nobody can end. */
function systemSrv(): Pick<SrvSettings, 'resolve' | 'cancel'> {
  let resolver: dns.promises.Resolver | undefined;
  return {
    resolve(name) {
      resolver = new dns.promises.Resolver();
      resolver.setServers(dns.getServers());
      return resolver.resolveSrv(name);
    },
    cancel: () => resolver?.cancel(),
  };
}

/** @returns `undefined`: the key servers are named one by one */
export function watchSrv(options: KeyServersOptions, set: KeyServerSet): SrvWatch | undefined {
  if (options.srv === undefined) return undefined;
  const { resolveSrv: resolve } = options;
  const settings = {
    name: options.srv,
    ...(resolve === undefined ? systemSrv() : { resolve }),
    intervalMs: milliseconds('srvIntervalMs', options.srvIntervalMs, 30_000),
    clock: options.clock ?? systemClock,
    isAnyThere: () => set.isAnyThere,
  };
  return new SrvWatch(settings, {
    onServers: (servers) => set.update(servers),
    onFailed: (error) => set.updateFailed(error),
  });
}

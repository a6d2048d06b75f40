/**
 * Session-ticket keys of a server, several at once: OpenSSL asks the addon for them instead of Node, which has one key.
 */
import { createHash } from 'node:crypto';
import type { Server } from 'node:tls';
import { addon } from './addon.ts';
import { isAnotherCopys, keylessContext } from './contexts.ts';
import { hasPskCallback, serverInternals } from './tls-handle.ts';

/** OpenSSL takes 32 bytes, and Node text. */
const SESSION_CONTEXT_DIGITS = 32;

/** What is known of a context from when it was made; all else is read in OpenSSL's. A server's options may be of one that failed. */
interface Origin {
  /** By which the addon knows it. */
  readonly number: number;
  readonly ownAuthorities: boolean;
  readonly keyIds: readonly Uint8Array[];
}

/** Of contexts that are Node's alone. */
const origins = new WeakMap<object, Origin>();

function originOf(native: object): Origin | undefined {
  const context = keylessContext(native);
  if (context === undefined) return origins.get(native);
  const { number, ownAuthorities, entries } = context;
  return { number, ownAuthorities, keyIds: entries.map(({ keyId }) => keyId) };
}

/**
 * Gives the server another context, which may be Node's alone: from here on it can have ticket keys all the same.
 *
 * @param set calls Node's `setSecureContext`; when it throws, the server has the context that it had
 */
export function noteContext(server: Server, set: () => void): void {
  addon().beginContext();
  set();
  const { _sharedCreds, ca } = serverInternals(server);
  const native = _sharedCreds?.context;
  if (native === undefined || keylessContext(native) !== undefined || isAnotherCopys(native)) return;
  const number = addon().nameContext();
  if (number === 0) return;
  origins.set(native, { number, ownAuthorities: Boolean(ca), keyIds: addon().keyIdsOfContext(number) });
}

function digestsOf(list: readonly Uint8Array[]): string[] {
  return list.map((each) => createHash('sha256').update(each).digest('hex')).sort();
}

/**
 * OpenSSL's session id context: a session is resumed only where it is the same. Servers that share ticket keys must
 * differ in it where they differ in whom they let in, because a resumed session brings the client's certificate, or
 * the lack of one, along.
 */
function sessionContext(server: Server, origin: Origin, label: string): string | undefined {
  const trust = addon().trustOfContext(origin.number, origin.ownAuthorities);
  if (trust === undefined) return undefined;
  // As they are at each connection.
  const { requestCert, rejectUnauthorized } = serverInternals(server);
  const [authorities, lists, securityLevel] = trust;
  const rules = [
    label,
    hasPskCallback(server),
    requestCert === true,
    rejectUnauthorized !== false,
    authorities === undefined ? 'those of Node' : digestsOf(authorities),
    digestsOf(lists),
    // Node's default is not the same in each version: where nobody is asked for a certificate, it keeps nobody out.
    requestCert === true && securityLevel,
    digestsOf(origin.keyIds),
  ];
  return createHash('sha256').update(JSON.stringify(rules)).digest('hex').slice(0, SESSION_CONTEXT_DIGITS);
}

const NO_KEYS = new Uint8Array(0);

/**
 * From here on the server issues tickets under the first key and accepts those of all, with its present context.
 *
 * @param keys 48 bytes each, copied; none: no ticket is accepted, and those that are issued can be opened by nobody
 * @param label servers with different ones do not resume each other's sessions, nor do servers with other keys or other
 *   rules for clients' certificates
 * @returns `false`: its context has no keyless key, nor was it noted: it is Node's alone
 */
export function setTicketKeys(server: Server, keys: Uint8Array, label: string): boolean {
  const native = serverInternals(server)._sharedCreds?.context;
  const origin = native && originOf(native);
  if (origin === undefined) return false;
  // Whatever fails from here on: the keys of before may have ended.
  addon().setTicketKeys(origin.number, NO_KEYS);
  const context = sessionContext(server, origin, label);
  if (context === undefined) return false;
  // Not on OpenSSL's context alone: each connection gets Node's own note of it, with the server's name (22.23, 24.22).
  native!.setSessionIdContext(context);
  return addon().setTicketKeys(origin.number, keys);
}

/**
 * Session-ticket keys of a server, several at once: OpenSSL asks the addon for them instead of Node, which has one key.
 */
import { createHash, type Hash } from 'node:crypto';
import type { Server } from 'node:tls';
import { isUint8Array } from 'node:util/types';
import { addon } from './addon.ts';
import { authoritiesOf } from './authorities.ts';
import { isAnotherCopys, type KeylessContext, keylessContext, leafCertificates } from './contexts.ts';
import { serverInternals, type TlsServerInternals } from './tls-handle.ts';

function update(hash: Hash, value: unknown): void {
  if (Array.isArray(value)) {
    update(hash, `list of ${value.length}`);
    for (const each of value) update(hash, each);
    return;
  }
  const bytes = isUint8Array(value) ? value : Buffer.from(String(value), 'utf8');
  hash.update(`${bytes.length}:`).update(bytes);
}

/** OpenSSL takes 32 bytes, and Node text. */
const SESSION_CONTEXT_DIGITS = 32;

/** By which the addon knows contexts that are Node's alone. */
const numbers = new WeakMap<object, number>();

/**
 * Gives the server another context, which may be Node's alone: from here on it can have ticket keys all the same.
 *
 * @param set calls Node's `setSecureContext`
 */
export function noteContext(server: Server, set: () => void): void {
  addon().beginContext();
  set();
  const native = serverInternals(server)._sharedCreds?.context;
  if (native === undefined || keylessContext(native) !== undefined || isAnotherCopys(native)) return;
  const number = addon().nameContext();
  if (number > 0) numbers.set(native, number);
}

/** The key ids of certificates whose keys are Node's. */
function nativeKeyIds({ cert, pfx, _sharedCreds }: TlsServerInternals): (Buffer | undefined)[] {
  const ders = leafCertificates(cert).map(({ raw }) => raw);
  // Of several, the last one.
  const ofPfx = pfx ? _sharedCreds?.context?.getCertificate() : undefined;
  return (ofPfx ? [...ders, ofPfx] : ders).map((der) => addon().keyId(der));
}

/**
 * OpenSSL's session id context: a session is resumed only where it is the same. Servers that share ticket keys must
 * differ in it where they differ in whom they let in, because a resumed session brings the client's certificate, or
 * the lack of one, along.
 */
function sessionContext(server: Server, context: KeylessContext | undefined, label: string): string {
  const fields = serverInternals(server);
  const { requestCert, rejectUnauthorized, ca, crl } = fields;
  const keyIds = context?.entries.map(({ keyId }) => keyId) ?? nativeKeyIds(fields);
  const hash = createHash('sha256');
  update(hash, [label, requestCert === true, rejectUnauthorized !== false, authoritiesOf(ca), crl]);
  update(hash, keyIds.map((keyId) => keyId?.toString('hex')).sort());
  return hash.digest('hex').slice(0, SESSION_CONTEXT_DIGITS);
}

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
  if (native === undefined) return false;
  const context = keylessContext(native);
  const number = context?.number ?? numbers.get(native);
  if (number === undefined) return false;
  // Not on OpenSSL's context alone: each connection gets Node's own note of it, with the server's name (22.23, 24.22, 26.12).
  native.setSessionIdContext(sessionContext(server, context, label));
  return addon().setTicketKeys(number, keys);
}

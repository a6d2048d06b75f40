/**
 * Session-ticket keys of a server, several at once: OpenSSL asks the addon for them instead of Node, which has one key.
 */
import { createHash, type Hash } from 'node:crypto';
import type { Server } from 'node:tls';
import { isUint8Array } from 'node:util/types';
import { addon } from './addon.ts';
import { type KeylessContext, keylessContext } from './contexts.ts';
import { serverInternals } from './tls-handle.ts';

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

/**
 * OpenSSL's session id context: a session is resumed only where it is the same. Servers that share ticket keys must
 * differ in it where they differ in whom they let in, because a resumed session brings the client's certificate, or
 * the lack of one, along.
 */
function sessionContext(server: Server, { entries }: KeylessContext, label: string): string {
  const { requestCert, rejectUnauthorized, ca, crl } = serverInternals(server);
  const hash = createHash('sha256');
  update(hash, [label, requestCert === true, rejectUnauthorized !== false, ca, crl]);
  update(hash, entries.map(({ keyId }) => keyId.toString('hex')).sort());
  return hash.digest('hex').slice(0, SESSION_CONTEXT_DIGITS);
}

/**
 * From here on the server issues tickets under the first key and accepts those of all, with its present context.
 *
 * @param keys 48 bytes each, copied; none: no ticket is accepted, and those that are issued can be opened by nobody
 * @param label servers with different ones do not resume each other's sessions, nor do servers with other keys or other
 *   rules for clients' certificates
 * @returns `false`: the server has no keyless key, so that its context is Node's alone
 */
export function setTicketKeys(server: Server, keys: Uint8Array, label: string): boolean {
  const native = serverInternals(server)._sharedCreds?.context;
  const context = keylessContext(native);
  if (native === undefined || context === undefined) return false;
  // Not on OpenSSL's context alone: each connection gets Node's own note of it, with the server's name (22.23, 24.22, 26.12).
  native.setSessionIdContext(sessionContext(server, context, label));
  return addon().setTicketKeys(context.number, keys);
}

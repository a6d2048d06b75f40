/**
 * TLS 1.3 sessions that lie on a server. Its tickets are ids then, which clients show as the identity of a pre-shared key
 * (RFC 8446 §4.2.11). Node asks `resumeSession` for the id that TLS 1.2 has instead, which in TLS 1.3 says nothing, though
 * it hands OpenSSL whatever session it is answered with; servers that are named here are asked for the identity.
 */
import type { Server, TLSSocket } from 'node:tls';
import { addon } from './addon.ts';
import { extensionIn, firstIdentity, PRE_SHARED_KEY } from './client-hello.ts';
import { internals, standIn, type TlsHandle } from './tls-handle.ts';

/** Of OpenSSL's session ids (SSL_MAX_SSL_SESSION_ID_LENGTH), by which it tells them from tickets that hold a session. */
const ID_BYTES = 32;

const servers = new WeakSet<object>();

/** From here on the server's `resumeSession` listeners are asked for TLS 1.3 sessions too. */
export function asksByIdentity(server: Server): void {
  servers.add(server);
}

/** Node asks while it holds the message back, or while OpenSSL tells it of the message. */
function offeredIdentity(id: number): Buffer | undefined {
  const told = addon().helloExtension(id, PRE_SHARED_KEY);
  if (told !== undefined) return firstIdentity(told);
  const held = addon().peekRead(id);
  const offer = held && extensionIn(held, PRE_SHARED_KEY);
  return offer && firstIdentity(offer);
}

/** @param id of the handshake that belongs to the handle */
export function askByIdentity(socket: TLSSocket, handle: TlsHandle, id: number): void {
  const { server } = internals(socket);
  if (server === undefined || !servers.has(server)) return;
  const { onclienthello } = handle;
  standIn(handle, 'onclienthello', (hello) => {
    const identity = offeredIdentity(id);
    const isId = identity?.length === ID_BYTES;
    return onclienthello.call(handle, isId ? { ...hello, sessionId: identity, tlsTicket: false } : hello);
  });
}

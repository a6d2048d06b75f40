/**
 * Where Node's sockets become keyless, whether tls, https, http2 or user code makes them. It acts only where a keyless
 * context is in play.
 */
import type { TLSSocket } from 'node:tls';
import { addon, takeFlooded, takeParked } from './addon.ts';
import { anyKeylessContext, contextMaker, type KeylessContext, keylessContext } from './contexts.ts';
import { patchTls, standBehindPatches } from './patches.ts';
import { findHandshake, SocketHandshake } from './socket-handshake.ts';
import { internals, standIn, type TlsHandle } from './tls-handle.ts';

const nextTurn = setImmediate;

/** In order, and whatever one of them throws (a user's event handler does) the others have their turn. */
function driveAll(ids: readonly number[]): void {
  let next = 0;
  try {
    while (next < ids.length) {
      const id = ids[next] as number;
      next += 1;
      findHandshake(id)?.parked();
    }
  } finally {
    if (next < ids.length) nextTurn(() => driveAll(ids.slice(next)));
  }
}

/** All handshakes that parked in one turn of the loop are driven together, so that their operations leave together. */
function listenToAddon(): void {
  addon().setParkListener(() => nextTurn(() => driveAll(takeParked())));
  addon().setFloodListener(() => {
    for (const id of takeFlooded()) findHandshake(id)?.holdBack();
  });
}

/** Whether Node has asked, in _init, to choose the context later: SNICallback, contexts by name, OCSP. */
function choosesLate(socket: TLSSocket): boolean {
  const { _tlsOptions, _SNICallback, server } = internals(socket);
  if (!_tlsOptions.isServer) return false;
  return Boolean(_SNICallback) || (server?.listenerCount('OCSPRequest') ?? 0) > 0;
}

/**
 * The choice is made (handle.sni_context) and Node is told to go on, perhaps inside OpenSSL's own stack. If the
 * chosen context is keyless, the handshake is made to park, on the next turn, when that stack is gone.
 */
function armWhenChosen(
  handshake: SocketHandshake,
  socket: TLSSocket,
  handle: TlsHandle,
  initial?: KeylessContext,
) {
  const { certCbDone } = handle;
  standIn(handle, 'certCbDone', () => {
    const chosen = keylessContext(handle.sni_context) ?? initial;
    if (chosen === undefined) {
      certCbDone.call(handle);
      return;
    }
    nextTurn(() => {
      if (handshake.disposed || internals(socket)._handle !== handle) return;
      handshake.arm(chosen);
      try {
        certCbDone.call(handle);
      } catch (error) {
        socket.destroy(error as Error);
      }
    });
  });
}

function attach(socket: TLSSocket, handle: TlsHandle): void {
  const context = keylessContext(handle._secureContext?.context);
  const late = choosesLate(socket);
  if (context === undefined && !late) return;
  const id = addon().attachLast();
  if (id === 0) return;
  const handshake = new SocketHandshake(id, socket, handle);
  if (late) armWhenChosen(handshake, socket, handle, context);
  else if (context !== undefined) handshake.arm(context);
}

function onSocket(socket: TLSSocket): void {
  const handle = anyKeylessContext() ? internals(socket)._handle : null;
  if (handle) attach(socket, handle);
}

let installed = false;

/** Installs the engine in this thread, once. Costs nothing until a keyless context is made. */
export function installEngine(): void {
  if (installed) return;
  installed = true;
  standBehindPatches(contextMaker(listenToAddon), onSocket);
  patchTls();
}

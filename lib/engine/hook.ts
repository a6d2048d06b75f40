/**
 * Where Node's sockets become keyless: TLSSocket.prototype._init, which every TLSSocket passes, whether tls, https,
 * http2 or user code makes it. It acts only where a keyless context is in play.
 */
import tls, { type TLSSocket } from 'node:tls';
import { KeylessError } from '../errors.ts';
import { addon, takeFlooded, takeParked } from './addon.ts';
import { installContexts, type KeylessContext, keylessContext, NO_LIMITS } from './contexts.ts';
import { findHandshake, handshakeOf, SocketHandshake } from './socket-handshake.ts';
import { internals, type TlsHandle } from './tls-handle.ts';

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

let listens = false;

/** All handshakes that parked in one turn of the loop are driven together, so that their operations leave together. */
function listenToAddon(): void {
  if (listens) return;
  addon().setParkListener(() => nextTurn(() => driveAll(takeParked())));
  addon().setFloodListener(() => {
    for (const id of takeFlooded()) findHandshake(id)?.holdBack();
  });
  listens = true;
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
  handle.certCbDone = () => {
    const chosen = keylessContext(handle.sni_context) ?? handshake.given ?? initial;
    if (chosen === undefined) {
      certCbDone.call(handle);
      return;
    }
    nextTurn(() => {
      if (handshake.disposed || internals(socket)._handle !== handle) return;
      handshake.arm(chosen, chosen !== initial);
      try {
        certCbDone.call(handle);
      } catch (error) {
        socket.destroy(error as Error);
      }
    });
  };
}

/** Clients whose context is Node's are left alone; a server's socket may get a keyless one, see {@link setKeyCert}. */
function attach(socket: TLSSocket, handle: TlsHandle): void {
  const { isServer } = internals(socket)._tlsOptions;
  const own = keylessContext(handle._secureContext?.context);
  if (own === undefined && !isServer) return;
  const id = addon().attachLast();
  if (id === 0) return;
  const handshake = new SocketHandshake(id, socket, handle);
  // Before TLS 1.3 OpenSSL asks for the protocol when it is past the place where a handshake parks.
  const context = own ?? (handle.ALPNCallback && NO_LIMITS);
  if (choosesLate(socket)) armWhenChosen(handshake, socket, handle, context);
  else if (context !== undefined) handshake.arm(context, context !== own);
}

type SetKeyCert = (context: tls.SecureContextOptions | tls.SecureContext) => void;

/** @throws KeylessError ERR_KEYLESS_STATE where the socket was made as a client without a keyless key */
function setKeyCert(
  socket: TLSSocket,
  original: SetKeyCert,
  given: tls.SecureContextOptions | tls.SecureContext,
): void {
  const handle = internals(socket)._handle;
  if (!handle) return;
  const isContext = typeof given === 'object' && given !== null && 'context' in given;
  const secureContext = isContext ? given : tls.createSecureContext(given);
  const context = keylessContext(secureContext.context);
  const handshake = handshakeOf(handle);
  if (context !== undefined && handshake === undefined) {
    throw new KeylessError(
      'ERR_KEYLESS_STATE',
      'A keyless context was given to setKeyCert() of a client. Give it to connect(), as "secureContext".',
    );
  }
  original.call(socket, secureContext);
  if (context !== undefined) handshake?.give(context, choosesLate(socket));
}

function installSocketHook(): void {
  const prototype = tls.TLSSocket.prototype as unknown as {
    _init(...values: unknown[]): void;
    setKeyCert: SetKeyCert;
  };
  const original = prototype._init;
  prototype._init = function _init(this: TLSSocket, ...values: unknown[]) {
    original.apply(this, values);
    const handle = listens ? internals(this)._handle : null;
    if (handle) attach(this, handle);
  };
  const { setKeyCert: originalSetKeyCert } = prototype;
  prototype.setKeyCert = function setKeyCertOf(this: TLSSocket, context) {
    setKeyCert(this, originalSetKeyCert, context);
  };
}

let installed = false;

/** Installs the engine in this thread, once. Costs nothing until a keyless context is made. */
export function installEngine(): void {
  if (installed) return;
  installed = true;
  installContexts(listenToAddon);
  installSocketHook();
}

/** A native handle of Node's with a keyless handshake: what of its methods goes by the handshake first. */
import type { SocketHandshake } from './socket-handshake.ts';
import { standIn, type TlsHandle } from './tls-handle.ts';

const kHandshake = Symbol('keyless-tls handshake');

/** A handle whose methods we stand in front of. They are shared functions, not closures: every connection has them. */
interface AttachedHandle extends TlsHandle {
  [kHandshake]: SocketHandshake;
}

/** The handshake of a handle; `undefined`: nothing keyless has come its way. */
export function handshakeOf(handle: TlsHandle): SocketHandshake | undefined {
  return (handle as Partial<AttachedHandle>)[kHandshake];
}

function destroySSL(this: AttachedHandle): void {
  this[kHandshake].dispose();
  (Object.getPrototypeOf(this) as TlsHandle).destroySSL.call(this);
}

/**
 * A client's socket that has tried one address after another (autoSelectFamily, on by default) has got a new handle for
 * each, and Node, which then finds no `ssl` on the socket, never calls destroySSL for the last one.
 */
function closeClient(this: AttachedHandle, callback?: () => void): void {
  const handshake = this[kHandshake];
  (Object.getPrototypeOf(this) as TlsHandle).close.call(this, () => {
    handshake.dispose();
    callback?.call(this);
  });
}

function onerror(this: AttachedHandle, error: Error): void {
  const handshake = this[kHandshake];
  handshake.nodeOnError.call(this, handshake.explain(error));
}

/** From here on the handshake hears of the handle's errors and of its end. */
export function standInFront(handle: TlsHandle, handshake: SocketHandshake): void {
  const attached = handle as AttachedHandle;
  standIn(attached, kHandshake, handshake);
  attached.onerror = onerror;
  standIn(attached, 'destroySSL', destroySSL);
  if (handshake.role === 'client') standIn(attached, 'close', closeClient);
}

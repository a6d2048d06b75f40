/** A native handle of Node's with a keyless handshake: what of its methods goes by the handshake first. */
import { performance } from 'node:perf_hooks';
import { nextTick } from '../timers.ts';
import { addon } from './addon.ts';
import { refusedSignature } from './handshake-failure.ts';
import type { PendingOperation } from './operation.ts';
import type { SocketHandshake } from './socket-handshake.ts';
import { standIn, type TlsHandle } from './tls-handle.ts';

const LOOK_INTERVAL_MS = 100;
let lookedAt = Number.NEGATIVE_INFINITY;
const kHandshake = Symbol('keyless-tls handshake');
const kBehind = Symbol('keyless-tls behind');

/** A handle whose methods we stand in front of. They are shared functions, not closures: every connection has them. */
interface AttachedHandle extends TlsHandle {
  [kHandshake]: SocketHandshake;
  /** What stood in front of Node's methods before: another copy's of this package. */
  [kBehind]?: Pick<TlsHandle, 'destroySSL' | 'close'>;
}

/** The handshake of a handle; `undefined`: nothing keyless has come its way. */
export function handshakeOf(handle: TlsHandle): SocketHandshake | undefined {
  return (handle as Partial<AttachedHandle>)[kHandshake];
}

function behind(handle: AttachedHandle): Pick<TlsHandle, 'destroySSL' | 'close'> {
  return handle[kBehind] ?? (Object.getPrototypeOf(handle) as TlsHandle);
}

function destroySSL(this: AttachedHandle): void {
  this[kHandshake].dispose();
  behind(this).destroySSL.call(this);
}

/**
 * A client's socket that has tried one address after another (autoSelectFamily, on by default) has got a new handle for
 * each, and Node, which then finds no `ssl` on the socket, never calls destroySSL for the last one.
 */
function closeClient(this: AttachedHandle, callback?: () => void): void {
  const handshake = this[kHandshake];
  behind(this).close.call(this, () => {
    handshake.dispose();
    callback?.call(this);
  });
}

function onerror(this: AttachedHandle, error: Error): void {
  const handshake = this[kHandshake];
  handshake.nodeOnError.call(this, handshake.explain(error));
}

/**
 * Whether the peer takes the answer, a server knows once its handshake is over; a client's is over before the server has
 * looked at it.
 */
export function keepUntilVerdict(
  handle: TlsHandle,
  handshake: SocketHandshake,
  operation: PendingOperation,
): void {
  handshake.used = operation;
  if (handshake.role === 'client') return;
  const { onhandshakedone } = handle;
  handle.onhandshakedone = () => {
    handshake.used = undefined;
    handle.onhandshakedone = onhandshakedone;
    onhandshakedone.call(handle);
  };
}

/**
 * A client has gone in place of its verdict: Node's send no alert where they have something to write. Whoever opens
 * connections and leaves them makes us verify ten signatures a second, and no more.
 */
export function lookInto(id: number, operation: PendingOperation): void {
  const now = performance.now();
  if (now - lookedAt < LOOK_INTERVAL_MS) return;
  lookedAt = now;
  if (addon().lastSignatureIsBad(id)) nextTick(() => operation.tellRefused(refusedSignature(undefined)));
}

/** From here on the handshake hears of the handle's errors and of its end. */
export function standInFront(handle: TlsHandle, handshake: SocketHandshake): void {
  const attached = handle as AttachedHandle;
  standIn(attached, kHandshake, handshake);
  if (Object.hasOwn(handle, 'destroySSL')) {
    const { destroySSL, close } = handle;
    standIn(attached, kBehind, { destroySSL, close });
  }
  attached.onerror = onerror;
  standIn(attached, 'destroySSL', destroySSL);
  if (handshake.role === 'client') standIn(attached, 'close', closeClient);
}

/** A native handle of Node's with a keyless handshake: what of its methods goes by the handshake first. */
import { performance } from 'node:perf_hooks';
import { nextTick } from '../timers.ts';
import { addon } from './addon.ts';
import { shared } from './copies.ts';
import { refusedSignature } from './handshake-failure.ts';
import { hiddenField } from './hidden-field.ts';
import type { PendingOperation } from './operation.ts';
import { named } from './patches.ts';
import type { SocketHandshake } from './socket-handshake.ts';
import type { TlsHandle } from './tls-handle.ts';

const LOOK_INTERVAL_MS = 100;
let lookedAt = Number.NEGATIVE_INFINITY;
const handshakes = hiddenField<SocketHandshake>();

/** The handshake of a handle; `undefined`: nothing keyless has come its way. */
export function handshakeOf(handle: TlsHandle): SocketHandshake | undefined {
  return handshakes.get(handle);
}

type Method = TlsHandle['destroySSL'] | TlsHandle['close'];

/** What stands in front of what, of every copy of this package. */
const behind = shared(Symbol.for('keyless-tls.methods'), new WeakMap<Method, Method>());
/** Of this copy. */
const ours = new WeakSet<Method>();

function isOursThere(first: Method): boolean {
  for (let at: Method | undefined = first; at !== undefined; at = behind.get(at))
    if (ours.has(at)) return true;
  return false;
}

function standInForMethod<Name extends 'destroySSL' | 'close'>(
  prototype: TlsHandle,
  name: Name,
  inFrontOf: (method: TlsHandle[Name]) => TlsHandle[Name],
): void {
  const method = prototype[name];
  if (isOursThere(method)) return;
  const own = named(inFrontOf(method), method);
  ours.add(own);
  behind.set(own, method);
  prototype[name] = own;
}

function disposing(destroySSL: TlsHandle['destroySSL']): TlsHandle['destroySSL'] {
  return function destroy(this: TlsHandle) {
    handshakeOf(this)?.dispose();
    destroySSL.call(this);
  };
}

function closing(close: TlsHandle['close']): TlsHandle['close'] {
  return function end(this: TlsHandle, callback) {
    close.call(this, disposingOfClients(this, callback));
  };
}

/**
 * All of Node's handles have these methods from one prototype, where ours stand in front of them from the first keyless
 * connection on. Another copy of this package stands in front of ours, or ours of its; and whoever had a method of his own there
 * before, and puts back what was there before that, takes ours away: so each connection looks.
 */
function standInForMethods(handle: TlsHandle): void {
  const prototype = Object.getPrototypeOf(handle) as TlsHandle;
  standInForMethod(prototype, 'destroySSL', disposing);
  standInForMethod(prototype, 'close', closing);
}

/**
 * A client's socket that has tried one address after another (autoSelectFamily, on by default) has got a new handle for
 * each, and Node, which then finds no `ssl` on the socket, never calls destroySSL for the last one.
 */
function disposingOfClients(handle: TlsHandle, callback: (() => void) | undefined): (() => void) | undefined {
  const handshake = handshakeOf(handle);
  if (handshake?.role !== 'client') return callback;
  return () => {
    handshake.dispose();
    callback?.call(handle);
  };
}

function onerror(this: TlsHandle, error: Error): void {
  const handshake = handshakeOf(this)!;
  handshake.nodeOnError.call(this, handshake.explain(error));
}

function onhandshakedone(this: TlsHandle): void {
  const handshake = handshakeOf(this)!;
  handshake.used = undefined;
  this.onhandshakedone = handshake.nodeOnHandshakeDone!;
  this.onhandshakedone();
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
  if (handshake.role === 'client' || handle.onhandshakedone === onhandshakedone) return;
  handshake.nodeOnHandshakeDone = handle.onhandshakedone;
  handle.onhandshakedone = onhandshakedone;
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
  standInForMethods(handle);
  handshakes.set(handle, handshake);
  handle.onerror = onerror;
}

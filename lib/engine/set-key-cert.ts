/** TLSSocket.setKeyCert: a certificate and key for one connection, in the place of its context's. */
import type { TLSSocket } from 'node:tls';
import { KeylessError } from '../errors.ts';
import { addon } from './addon.ts';
import { asOurOwn } from './as-our-own.ts';
import { handshakeOf } from './attached-handle.ts';
import { type KeylessContext, keylessContext } from './contexts.ts';
import { keeperOf } from './copies.ts';
import { hiddenField } from './hidden-field.ts';
import { madeContext } from './made-contexts.ts';
import type { KeyCertSetter } from './patches.ts';
import { SocketHandshake } from './socket-handshake.ts';
import { internals, type TlsHandle } from './tls-handle.ts';

/** Numbers of handshakes that nothing keyless has come to yet. */
const numbers = hiddenField<number>();

/** @param id what the addon's attachLast() returned */
export function rememberAttached(handle: TlsHandle, id: number): void {
  numbers.set(handle, id);
}

/** Whether Node has asked, in _init, to choose the context later: SNICallback, contexts by name, OCSP. */
export function choosesLate(socket: TLSSocket): boolean {
  const { _tlsOptions, _SNICallback, server } = internals(socket);
  if (!_tlsOptions.isServer) return false;
  return Boolean(_SNICallback) || (server?.listenerCount('OCSPRequest') ?? 0) > 0;
}

function tooLate(): KeylessError {
  return new KeylessError(
    'ERR_KEYLESS_STATE',
    'setKeyCert() was given a keyless context while a handshake that Node has begun with its own is being answered. Call it ' +
      'before the handshake, or in an "ALPNCallback"; or give the server a keyless context.',
  );
}

/** @throws KeylessError ERR_KEYLESS_STATE */
function checkInTime(id: number | undefined): asserts id is number {
  if (id === undefined || !addon().mayTakeKey(id)) throw tooLate();
}

/** From here on the handshake of a socket that was Node's own parks. @throws KeylessError ERR_KEYLESS_STATE */
function takeOver(socket: TLSSocket, handle: TlsHandle): SocketHandshake {
  const id = numbers.get(handle);
  checkInTime(id);
  return new SocketHandshake(id, socket, handle);
}

function exchange(
  socket: TLSSocket,
  handle: TlsHandle,
  context: KeylessContext,
  setNative: () => void,
): void {
  const known = handshakeOf(handle);
  if (known !== undefined && known.choice === undefined) checkInTime(known.id);
  const handshake = known ?? takeOver(socket, handle);
  if (handshake.choice?.isMade) {
    handshake.keep(context);
    handshake.choice.follow(setNative, context);
    return;
  }
  setNative();
  handshake.give(context);
}

function exchangeNative(handle: TlsHandle, setNative: () => void): void {
  const choice = handshakeOf(handle)?.choice;
  if (choice?.isMade) choice.follow(setNative);
  else setNative();
}

/** Keyless contexts, and options of such, are taken where Node takes its own. */
export const setKeyCert: KeyCertSetter = (socket, given, original) => {
  const handle = internals(socket)._handle;
  const keeper = handle ? keeperOf(handle) : undefined;
  if (!handle || keeper === 'another') {
    original(given);
    return;
  }
  const made = madeContext(given);
  // What comes when the choice is made comes to whoever makes it, and it is not known yet who sees to that.
  const isOurs = keeper === 'this' || handshakeOf(handle)?.choice?.isMade === true;
  const secureContext = (isOurs ? asOurOwn(made.context) : undefined) ?? made;
  const context = keylessContext(secureContext.context);
  const setNative = () => {
    handshakeOf(handle)?.unlimit();
    original(secureContext);
  };
  // A client of Node's does not send the certificate either.
  if (context === undefined || !internals(socket)._tlsOptions.isServer) exchangeNative(handle, setNative);
  else exchange(socket, handle, context, setNative);
};

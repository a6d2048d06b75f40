/**
 * Where Node's sockets become keyless, whether tls, https, http2 or user code makes them. It acts only where a keyless
 * context is in play.
 */
import { executionAsyncId } from 'node:async_hooks';
import type { TLSSocket } from 'node:tls';
import { nextTick, setImmediate } from '../timers.ts';
import { asTurn, inOrder } from '../turn.ts';
import { addon, takeFlooded, takeParked } from './addon.ts';
import {
  contextMaker,
  isAnotherCopys,
  type KeylessContext,
  keylessContext,
  NODE_CONTEXT,
} from './contexts.ts';
import { becomeKeeper, waitForChoice } from './copies.ts';
import { LateChoice } from './late-choice.ts';
import { findHandshake, holdHandshake } from './live-handshakes.ts';
import { patchTls, standBehindPatches } from './patches.ts';
import { askByIdentity } from './session-identity.ts';
import { choosesLate, rememberAttached, setKeyCert } from './set-key-cert.ts';
import { SocketHandshake } from './socket-handshake.ts';
import { throwLater } from './throw-later.ts';
import { internals, standIn, type TlsHandle } from './tls-handle.ts';

function driveAll(ids: readonly number[]): void {
  inOrder(ids, (id) => findHandshake(id)?.parked());
}

function driveParked(): void {
  asTurn(() => driveAll(takeParked()));
}

/** Whether a context was made that may be keyless; until then no socket is looked at. */
let listens = false;

/** All handshakes that parked in one turn of the loop are driven together, so that their operations leave together. */
function listenToAddon(): void {
  if (listens) return;
  addon().setTurnListeners(
    driveParked,
    (id) => findHandshake(id)?.takeTurn(),
    (id, isGood) => findHandshake(id)?.endTurn(isGood),
  );
  addon().setParkListener((id, atGate) => {
    holdHandshake(id);
    const handshake = findHandshake(id);
    if (handshake === undefined) return;
    // libuv's own calls have no asynchronous id.
    handshake.telling.isNested = executionAsyncId() !== 0;
    handshake.telling.isInCallback = false;
    handshake.holdBackWhereParked(atGate);
  });
  addon().setFloodListener(() => {
    for (const id of takeFlooded()) findHandshake(id)?.holdBack();
  });
  listens = true;
}

/**
 * As soon as OpenSSL's own stack is gone, on which the choice may have been made: in the next tick, if Node has not emptied the
 * queue of ticks on that stack, or else in the next turn. Both are asked for now: what the user puts off (calling back again,
 * destroying the socket) comes after it.
 *
 * @param work is told whether it is done within this call
 */
function offStack({ id }: SocketHandshake, work: (within: boolean) => void): void {
  let done = false;
  const workOnce = (within = false) => {
    if (done) return;
    done = true;
    work(within);
  };
  const workIfPutOff = (within = false) => {
    if (!done && addon().isPutOff(id)) workOnce(within);
  };
  workIfPutOff(true);
  if (done) return;
  nextTick(workIfPutOff);
  setImmediate(workOnce);
}

/**
 * Perhaps in a callback of one connection's user. Those that parked before it go first, as they would have natively; what their
 * handlers throw is nothing to whoever called back.
 */
function driveOwn(own: SocketHandshake, within: boolean): void {
  const ids = takeParked();
  for (const id of ids) {
    if (id === own.id) continue;
    try {
      findHandshake(id)?.parked();
    } catch (error) {
      throwLater(error);
    }
  }
  if (own.disposed || !ids.includes(own.id)) return;
  const { telling } = own;
  telling.isNested = within;
  telling.isInCallback = within;
  telling.isWithin = true;
  try {
    own.parked();
  } finally {
    telling.isWithin = false;
  }
}

/** As Node does with what certCbDone throws. @returns whether nothing was thrown */
function orDestroy(socket: TLSSocket, work: () => void): boolean {
  try {
    work();
    return true;
  } catch (error) {
    socket.destroy(error as Error);
    return false;
  }
}

/** As natively the flight leaves within certCbDone, where the key answers at once. */
function goOn(
  handshake: SocketHandshake,
  socket: TLSSocket,
  context: () => KeylessContext | undefined,
  tellNode: () => void,
  within: boolean,
): void {
  const chosen = handshake.disposed ? undefined : context();
  if (chosen === undefined) return;
  handshake.arm(chosen);
  if (orDestroy(socket, tellNode)) driveOwn(handshake, within);
}

/** What the user does in the callback that has chosen, or puts off to ticks and microtasks, comes before. */
function afterTicks(work: () => void): void {
  nextTick(() => queueMicrotask(() => nextTick(work)));
}

/**
 * The choice is made (handle.sni_context) and Node is told to go on. If the handshake comes to a keyless key, it is made to park
 * first. If not, Node is told on OpenSSL's own stack where it may be: as long as that is there, setKeyCert() may change that.
 */
function armWhenChosen(
  handshake: SocketHandshake,
  socket: TLSSocket,
  handle: TlsHandle,
  initial?: KeylessContext,
) {
  const { certCbDone } = handle;
  const choice = new LateChoice(handle);
  handshake.choice = choice;
  waitForChoice(handle);
  const context = () => choice.context(handshake.given ?? initial);
  const tellNode = () => {
    handshake.choice = undefined;
    certCbDone.call(handle);
    choice.replace();
  };
  const tellOurs = () => {
    choice.makeOurs();
    tellNode();
  };
  const decide = () => {
    if (handshake.disposed) return;
    if (context() !== undefined)
      offStack(handshake, (within) => goOn(handshake, socket, context, tellOurs, within));
    else tellNode();
  };
  standIn(handle, 'certCbDone', () => {
    choice.isMade = true;
    if (context() !== undefined || addon().isPutOff(handshake.id)) decide();
    else afterTicks(() => orDestroy(socket, decide));
  });
}

/**
 * A context that is Node's and that an ALPNCallback or pskCallback may exchange, by setKeyCert(), for a keyless one. OpenSSL
 * asks for the protocol when it is past the place where a handshake parks, so it must have parked before.
 */
function exchangeable(socket: TLSSocket, handle: TlsHandle): KeylessContext | undefined {
  const { isServer, pskCallback } = internals(socket)._tlsOptions;
  if (!isServer || !(handle.ALPNCallback || pskCallback)) return undefined;
  return isAnotherCopys(handle._secureContext?.context) ? undefined : NODE_CONTEXT;
}

/** A client whose context is Node's is left alone; a server may yet be given a keyless one. */
function attach(socket: TLSSocket, handle: TlsHandle): void {
  const context = keylessContext(handle._secureContext?.context) ?? exchangeable(socket, handle);
  if (context === undefined && !internals(socket)._tlsOptions.isServer) return;
  const id = addon().attachLast();
  if (id === 0) return;
  askByIdentity(socket, handle, id);
  const late = choosesLate(socket);
  if (context === undefined && !late) {
    rememberAttached(handle, id);
    return;
  }
  const handshake = new SocketHandshake(id, socket, handle);
  if (context !== undefined && context !== NODE_CONTEXT) becomeKeeper(handle);
  if (late) armWhenChosen(handshake, socket, handle, context);
  else if (context !== undefined) {
    handshake.limit(context);
    handshake.arm(context);
  }
}

let triedToListen = false;

/** A server's first keyless context may be made inside its SNICallback or ALPNCallback, when its first socket is there. */
function beforeSocket(socket: TLSSocket): void {
  if (listens || triedToListen || !internals(socket)._tlsOptions.isServer) return;
  triedToListen = true;
  try {
    listenToAddon();
  } catch {
    // What this platform lacks is said where a keyless context is made; Node's own servers need nothing of it.
  }
}

function onSocket(socket: TLSSocket): void {
  const handle = listens ? internals(socket)._handle : null;
  if (handle) attach(socket, handle);
}

let installed = false;

/** Installs the engine in this thread, once. Costs nothing until a keyless context is made. */
export function installEngine(): void {
  if (installed) return;
  installed = true;
  standBehindPatches({ makeContext: contextMaker(listenToAddon), beforeSocket, onSocket, setKeyCert });
  patchTls();
}

/**
 * The keyless handshake of one TLSSocket of Node's: parked, admitted, driven, paused, resumed, until the socket goes.
 *
 * Owner: its handle, and while it waits lib/engine/live-handshakes.ts. It ends with the handle's destroySSL, or with the
 * handle. All of it runs on the thread's main stack.
 */
import { AsyncResource } from 'node:async_hooks';
import { performance } from 'node:perf_hooks';
import type { TLSSocket } from 'node:tls';
import { isUint8Array } from 'node:util/types';
import { KeylessError } from '../errors.ts';
import { nextTick } from '../timers.ts';
import { addon, HandshakeStep, pendingOperation, ResultProblem, TurnKind } from './addon.ts';
import { enter, leave, withdraw } from './admission.ts';
import { keepUntilVerdict, lookInto, standInFront } from './attached-handle.ts';
import { type ContextLimits, type KeylessContext, NODE_CONTEXT } from './contexts.ts';
import { becomeKeeper } from './copies.ts';
import { refusedSignature, withCause } from './handshake-failure.ts';
import { findKey, type KeyEntry } from './key-entry.ts';
import type { LateChoice } from './late-choice.ts';
import { addHandshake, holdHandshake, releaseHandshake, removeHandshake } from './live-handshakes.ts';
import { PendingOperation, type ScopedOrigin } from './operation.ts';
import { ProcessHold } from './process-hold.ts';
import { resultError } from './result-error.ts';
import { StreamEnd } from './stream-end.ts';
import { Telling, type Told } from './telling.ts';
import { throwLater } from './throw-later.ts';
import { internals, streamBelow, type TlsHandle } from './tls-handle.ts';
import { forgetUnread, waitUnread } from './unread.ts';
import { type UserQuestion, userQuestion } from './user-callbacks.ts';

/** Whoever looks for what holds the process asks for it: the socket does, this does not. */
class HandshakeResource extends AsyncResource {
  hasRef(): boolean {
    return false;
  }
}

/** Its members are `private` to TypeScript only: every connection makes one, and Node 20 is slow with `#` methods. */
export class SocketHandshake implements ScopedOrigin, Told {
  readonly id: number;
  readonly socket: TLSSocket;
  readonly handle: TlsHandle;
  private readonly startedAt = performance.now();
  /** Of whoever made the connection; a server's is its listener's, as for Node's own events. */
  readonly scope = new HandshakeResource('KEYLESSHANDSHAKE');
  readonly role: 'server' | 'client';
  /** What Node had put where ours stands now. */
  readonly nodeOnError: TlsHandle['onerror'];
  /** The same, while the verdict on an answer is awaited. */
  nodeOnHandshakeDone: TlsHandle['onhandshakedone'] | undefined;
  private operation: PendingOperation | undefined;
  /** Whose answer was used last, for whoever wants to know if it was wrong. */
  used: PendingOperation | undefined;
  error: KeylessError | undefined;
  private admitted = false;
  /** Its keys are Node's, so it is to wait for no key's holder, and for no turn. */
  private asksNobody = false;
  /** Node has yet to ask for a context, or to be told of it, which must not be passed over: the handshake is armed then. */
  choice: LateChoice | undefined;
  /** It was to ask nobody, has come to a keyless key all the same, and waits for its turn with a job. */
  private queuesPaused = false;
  private isDisposed = false;
  private heldBack = false;
  private streamEnd: StreamEnd | undefined;
  readonly telling = new Telling(this);
  /** Its turn is to be asked. */
  private question: UserQuestion | undefined;
  private readonly processHold = new ProcessHold();
  private limits: ContextLimits | undefined;
  /** The context that setKeyCert() has given the connection in the place of its own. */
  given: KeylessContext | undefined;
  /** Of all contexts that it was given: OpenSSL has kept the last key of each type. */
  private givenKeys: Map<string | undefined, KeyEntry> | undefined;

  /** @param id what the addon's attachLast() returned for this socket */
  constructor(id: number, socket: TLSSocket, handle: TlsHandle) {
    this.id = id;
    this.socket = socket;
    this.handle = handle;
    this.nodeOnError = handle.onerror;
    this.role = internals(socket)._tlsOptions.isServer ? 'server' : 'client';
    addHandshake(id, this);
    standInFront(handle, this);
  }

  get peerAddress(): string | undefined {
    return this.socket.remoteAddress;
  }
  get localAddress(): string | undefined {
    return this.socket.localAddress;
  }
  get handshakeDeadline(): number {
    const { handshakeTimeout } = internals(this.socket)._tlsOptions;
    return handshakeTimeout ? this.startedAt + handshakeTimeout : Number.POSITIVE_INFINITY;
  }
  get disposed(): boolean {
    return this.isDisposed;
  }

  /** From here on the handshake parks before its private-key operation. */
  arm(context: KeylessContext): void {
    this.asksNobody = context === NODE_CONTEXT;
    this.choice = undefined;
    becomeKeeper(this.handle);
    addon().arm(this.id);
  }

  /**
   * OpenSSL compares the lists when it reads the ClientHello. Where another key may come later, it would be held against
   * this context's: then each key alone says which hashes it signs.
   */
  limit({ limits }: KeylessContext): void {
    if (limits.sigalgs === undefined || this.handle.ALPNCallback !== undefined) return;
    this.limits = limits;
    addon().limitSignatures(this.id, limits.sigalgs, limits.peerSigalgs);
  }

  /** Another key has come before the handshake. */
  unlimit(): void {
    if (this.limits === undefined) return;
    addon().limitSignatures(this.id, this.limits.peerSigalgs, this.limits.peerSigalgs);
    this.limits = undefined;
  }

  /** By setKeyCert(), in the place of what there is. */
  give(context: KeylessContext): void {
    this.given = context;
    this.keep(context);
    if (this.choice === undefined) this.arm(context);
  }

  /** A context that setKeyCert() gives may be held by nobody else. */
  keep(context: KeylessContext): void {
    becomeKeeper(this.handle);
    this.givenKeys ??= new Map();
    for (const entry of context.entries) this.givenKeys.set(entry.type, entry);
  }

  /** The handshake stands parked. */
  parked(): void {
    this.error = undefined;
    // Near the end of a deep stack it may not have been held when it parked.
    holdHandshake(this.id);
    if (this.streamEnd?.isPatient === false) waitUnread(this.streamEnd);
    if (this.asksNobody || !this.isBounded) this.scope.runInAsyncScope(this.drive, this);
    else enter(this);
  }

  /**
   * Peers may begin any number of a server's handshakes. A client's is begun here, and may be the one to a key's holder, for whom all
   * the others wait.
   */
  private get isBounded(): boolean {
    return this.role === 'server';
  }

  admit(): void {
    this.admitted = true;
    this.scope.runInAsyncScope(this.queuesPaused ? this.perform : this.drive, this);
  }

  private drive(): void {
    this.after(this.step((alpn, psk) => addon().drive(this.id, alpn, psk)));
  }

  /**
   * In TLS 1.3 OpenSSL asks as soon as it has read a ClientHello, on Node's own stack. By a job's time its context may be one that was
   * chosen by name, which has no callback natively: what is put there stays for all of that context's connections.
   */
  private asksForAlpn(): boolean {
    const { handle } = this;
    return handle.ALPNCallback !== undefined && this.role === 'server' && handle.getProtocol() !== 'TLSv1.3';
  }

  /** A step of the job, in which OpenSSL may ask for callbacks of the user's; see native/handshake.h, UserCallbacks. */
  private step(work: (asksForAlpn: boolean, asksForPsk: boolean) => number): number {
    const { handle } = this;
    const asksForAlpn = this.asksForAlpn();
    const asksForPsk = Boolean(internals(this.socket)._tlsOptions.pskCallback);
    const step = work(asksForAlpn, asksForPsk);
    if (asksForAlpn) handle.enableALPNCb();
    if (asksForPsk) handle.enablePskCallback();
    return step;
  }

  /** The peer sends ahead of a handshake that waits: it is not read from until then, as natively a slow reader does. */
  holdBack(): void {
    this.heldBack = true;
    this.handle.readStop();
  }

  refuse(error: KeylessError): void {
    this.error = error;
    const { id, queuesPaused } = this;
    const step = this.step((alpn, psk) => (queuesPaused ? addon().fail(id) : addon().refuse(id, alpn, psk)));
    this.scope.runInAsyncScope(this.after, this, step);
  }

  /** The socket is going: nothing of it is called any more. */
  dispose(): void {
    if (this.isDisposed) return;
    this.isDisposed = true;
    removeHandshake(this.id);
    this.operation?.cancel();
    this.operation = undefined;
    if (this.used !== undefined && this.role === 'server') lookInto(this.id, this.used);
    addon().dispose(this.id);
    this.processHold.letGo();
    forgetUnread(this);
    this.takeEnd()?.readOn();
    withdraw(this);
    this.leave();
    this.telling.end();
  }

  private leave(): void {
    if (!this.admitted) return;
    this.admitted = false;
    try {
      leave();
    } catch (error) {
      // Of the one whose turn it is now: this one goes on, or goes away, all the same.
      throwLater(error);
    }
  }

  /**
   * The job has paused for a callback of the user's, before which comes what OpenSSL has reported. What all of that puts off (ticks,
   * microtasks) is done before OpenSSL goes on, but not where natively there is JavaScript below.
   */
  private ask(question: UserQuestion): void {
    if (!this.telling.isOneGo && addon().putOff(this.id, TurnKind.ASK)) {
      this.question = question;
      this.holdBackForNow();
      return;
    }
    let isAnswered = false;
    this.telling.replay();
    try {
      question.ask();
      isAnswered = true;
    } catch (error) {
      this.telling.caught(error);
    }
    this.answer(question, isAnswered);
  }

  private answer(question: UserQuestion, isAnswered: boolean): void {
    if (!this.isDisposed) this.after(this.step(() => question.answer(isAnswered)));
  }

  /** See the addon's TurnKind. */
  takeTurn(): void {
    const { question } = this;
    if (question === undefined) this.telling.takeTurn();
    else this.scope.runInAsyncScope(question.ask, question);
  }

  endTurn(isGood: boolean): void {
    const { question } = this;
    this.question = undefined;
    if (question === undefined) this.telling.woken(isGood);
    else this.scope.runInAsyncScope(this.answer, this, question, isGood);
  }

  private after(step: number): void {
    if (this.isDisposed || step < 0) return;
    const question = userQuestion(step, this);
    if (question !== undefined) this.ask(question);
    else if (step === HandshakeStep.WANT_SIGN || step === HandshakeStep.WANT_DECRYPT) {
      this.queuesPaused = this.isBounded && !this.admitted;
      if (this.queuesPaused) enter(this);
      else this.perform();
    } else this.telling.tell(step);
  }

  jobIsOver(): void {
    releaseHandshake(this.id);
    this.leave();
    const end = this.takeEnd();
    // As natively, after what Node is woken to.
    if (end !== undefined) nextTick(() => end.readOn());
    if (!this.heldBack) return;
    forgetUnread(this);
    this.readOn();
  }

  /** After {@link holdBack}. */
  readOn(): void {
    this.heldBack = false;
    if (this.handle.reading) {
      this.handle.readStart();
      this.processHold.letGo();
    }
  }

  private perform(): void {
    const raw = pendingOperation(this.id);
    const entry = raw && findKey(raw.key);
    if (raw === undefined || entry === undefined) {
      this.settle(new KeylessError('ERR_KEYLESS_STATE', 'The PrivateKey of this handshake is gone.'));
      return;
    }
    this.operation = new PendingOperation(raw, entry, this, (result) => this.settle(result));
    this.operation.start();
    if (this.operation === undefined) return;
    this.processHold.hold(this.handle);
    this.holdBackForNow();
  }

  /**
   * What the peer has sent leads to an operation, and natively its end is found out after that: Node reads nothing once it has
   * seen it. One that ends its side only may wait for our answer; from any other it is found out that it has gone.
   */
  holdBackWhereParked(atGate: boolean): void {
    const { socket, handle } = this;
    const untilItGoesOn = atGate && socket.allowHalfOpen;
    const stream = streamBelow(handle);
    if (stream !== undefined) this.streamEnd ??= new StreamEnd(stream, this, untilItGoesOn);
    else if (atGate) this.holdBackForNow(untilItGoesOn);
  }

  private takeEnd(): StreamEnd | undefined {
    const end = this.streamEnd;
    this.streamEnd = undefined;
    if (end !== undefined) forgetUnread(end);
    return end;
  }

  private holdBackForNow(untilItGoesOn = false): void {
    if (this.heldBack || streamBelow(this.handle) !== undefined) return;
    this.holdBack();
    if (!untilItGoesOn) waitUnread(this);
  }

  private settle(result: Uint8Array | KeylessError): void {
    const { operation } = this;
    this.operation = undefined;
    this.processHold.letGo();
    if (this.isDisposed) return;
    try {
      this.after(this.hand(result, operation));
    } catch (error) {
      throwLater(error);
    }
  }

  /** @returns the handshake's next step; negative: it waits still, for another answer */
  private hand(result: Uint8Array | KeylessError, operation: PendingOperation | undefined): number {
    if (!isUint8Array(result)) return this.fail(result);
    const verify = operation?.verifies === true;
    const step = this.step(() => addon().supply(this.id, result, verify));
    if (step >= 0) {
      if (!verify && operation?.hearsOfRefusals === true) keepUntilVerdict(this.handle, this, operation);
      return step;
    }
    const error = resultError(step, result);
    this.operation = operation;
    if (step !== ResultProblem.GONE && operation?.startAgain(error) === true) {
      if (this.operation !== undefined) this.processHold.hold(this.handle);
      return step;
    }
    this.operation = undefined;
    return this.fail(error);
  }

  private fail(error: KeylessError): number {
    this.error = error;
    return this.step(() => addon().fail(this.id));
  }

  /** What Node's error of this connection was caused by, where that was ours. */
  explain(error: Error): Error {
    this.telling.isTold = true;
    if (this.isDisposed) return error;
    if (this.error !== undefined) return withCause(this.error, error);
    if (!addon().lastSignatureIsBad(this.id)) return error;
    const refused = refusedSignature(error);
    this.used?.tellRefused(refused);
    this.used = undefined;
    return refused;
  }
}

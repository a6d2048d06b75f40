/**
 * How Node is told what a job of a handshake has brought: first of what OpenSSL has reported meanwhile, in order; then it is
 * woken, to flush, read and write.
 *
 * Natively all of that takes place while libuv calls Node, with nothing of JavaScript below: ticks, microtasks and exceptions
 * of each handler are seen to before the next is called. So it does here, in a turn of the loop (native/loop_turn.h). Where
 * natively there is JavaScript below as well, everything comes in one go.
 */
import type { AsyncResource } from 'node:async_hooks';
import type { TLSSocket } from 'node:tls';
import type { KeylessError } from '../errors.ts';
import { addon, HandshakeStep, TurnKind } from './addon.ts';
import { catchHandlers } from './caught-handlers.ts';
import { unexplainedFailure } from './handshake-failure.ts';
import { holdInput } from './held-input.ts';
import { throwLater } from './throw-later.ts';
import { descriptorBelow, isGoneBelow, streamBelow, type TlsHandle } from './tls-handle.ts';

/** Whom it is about. */
export interface Told {
  readonly id: number;
  readonly handle: TlsHandle;
  readonly socket: TLSSocket;
  readonly scope: AsyncResource;
  readonly disposed: boolean;
  /** Why it fails, where that is ours. */
  readonly error: KeylessError | undefined;
  /** Node knows what its job has brought, and will be woken now. */
  jobIsOver(): void;
}

/** Owner: its handshake. States: idle -> put off -> idle. */
export class Telling {
  /** Natively there is JavaScript below: Node has called it, and it has called Node. */
  isNested = false;
  /** That JavaScript goes on when this has returned. */
  isWithin = false;
  /** Natively all of it takes place in certCbDone, and Node destroys the socket with what that throws. */
  isInCallback = false;
  /** Node has told of the failure that it is woken to. */
  isTold = false;
  private fails = false;
  private waitsForPeer = false;
  private comesInOneGo = false;
  private restore: (() => void) | undefined;
  private readHeld: ReturnType<typeof holdInput> | undefined;
  private thrown: { readonly error: unknown } | undefined;
  private readonly told: Told;

  constructor(told: Told) {
    this.told = told;
  }

  /** Natively nothing of Node's comes in between two handlers. */
  get isOneGo(): boolean {
    return this.isNested || this.isOverStream;
  }

  /** Of the user's. */
  private get isOverStream(): boolean {
    return streamBelow(this.told.handle) !== undefined;
  }

  /** A job is over. @param step where that leaves its handshake */
  tell(step: number): void {
    this.fails = step === HandshakeStep.FAILED;
    this.waitsForPeer = step === HandshakeStep.WANT_READ;
    // In a later turn nothing may be left of a socket that is destroyed.
    if (this.isWithin || this.told.socket.destroyed) {
      this.tellNow();
      return;
    }
    this.comesInOneGo = this.isOneGo;
    addon().putOff(this.told.id, this.comesInOneGo ? TurnKind.TELL_IN_ONE_GO : TurnKind.TELL);
  }

  /** Wakes Node, or says by whose reader it is woken when nothing of JavaScript is on the stack. */
  takeTurn(): void {
    const { told } = this;
    if (this.comesInOneGo) {
      told.scope.runInAsyncScope(this.tellNow, this);
      return;
    }
    try {
      // Whoever has waited for its place may go on within this.
      told.scope.runInAsyncScope(this.begin, this);
    } catch (error) {
      throwLater(error);
    }
    if (!told.disposed && !this.isLeftToRead()) addon().wakeBy(descriptorBelow(told.handle));
  }

  /** After {@link takeTurn}. @param isWoken false: Node does not read there now */
  woken(isWoken: boolean): void {
    this.told.scope.runInAsyncScope(isWoken ? this.end : this.wake, this);
  }

  /** A handler of the user's has thrown in the middle of Node's work. */
  caught(error: unknown): void {
    if (this.isInCallback) this.thrown ??= { error };
    else throwLater(error);
  }

  private tellNow(): void {
    if (this.isInCallback) {
      this.tellInCallback();
      return;
    }
    this.handOver(() => this.replay());
    this.goOn();
  }

  /** @param work hands Node what OpenSSL has reported */
  private handOver(work: () => void): void {
    const below = streamBelow(this.told.handle);
    if (below === undefined) work();
    else this.readHeld = holdInput(below, work);
  }

  private goOn(): void {
    this.begin();
    if (!this.told.disposed && !this.isLeftToRead()) this.wake();
  }

  /**
   * The peer has reset the connection meanwhile: Node reads of it next. Woken, it would write first, and that would be told instead, of
   * which Node tells nobody; what it reads then is an end, which a socket that may be half-open lets be.
   */
  private isLeftToRead(): boolean {
    const { handle, socket } = this.told;
    return this.waitsForPeer && socket.allowHalfOpen && addon().hasError(descriptorBelow(handle));
  }

  private tellInCallback(): void {
    const { id, socket } = this.told;
    this.handOver(() => this.attempt(() => addon().replayAll(id)));
    this.attempt(() => this.goOn());
    const { thrown } = this;
    this.thrown = undefined;
    this.isInCallback = false;
    if (thrown !== undefined) socket.destroy(thrown.error as Error);
  }

  private attempt(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.thrown ??= { error };
    }
  }

  /** Hands Node what OpenSSL has reported, however the user's handlers behave. */
  replay(): void {
    let more = true;
    while (more && !this.told.disposed) {
      try {
        more = addon().replay(this.told.id);
      } catch (error) {
        throwLater(error);
      }
    }
  }

  /** With JavaScript below. */
  private wake(): void {
    const { id, handle } = this.told;
    if (this.fails) addon().putErrorBack(id);
    try {
      if (this.goesToCaller) this.cycle();
      else catchHandlers(handle, () => this.cycle());
    } finally {
      if (this.fails) addon().clearErrors();
      this.end();
    }
  }

  /** What handlers throw comes out of certCbDone, or of what that JavaScript has called, as far as V8 does not forget it. */
  private get goesToCaller(): boolean {
    return this.isWithin || (this.isInCallback && !this.isOverStream);
  }

  private cycle(): void {
    const { readHeld } = this;
    this.readHeld = undefined;
    readHeld?.(() => this.mayRead);
    // Of a handshake that has failed Node reads nothing any more: it only tells.
    if (this.mayRead || (this.fails && !this.told.disposed)) this.told.handle.newSessionDone();
  }

  /**
   * Where the socket below has gone nothing is read any more, natively neither: destroyed in a handler within SSL_read, Node would free
   * the SSL there and then.
   */
  private get mayRead(): boolean {
    const { disposed, handle } = this.told;
    return !disposed && !isGoneBelow(handle);
  }

  /**
   * OpenSSL's error queue holds what went wrong, and Node reports it as its own when it is woken. Where a write of the
   * user's waits, Node fails that write instead (EPROTO) and destroys the socket with its error: ours takes its place. Of a
   * renegotiation that fails Node only tells.
   */
  private begin(): void {
    const { disposed, error, socket } = this.told;
    if (disposed) return;
    this.told.jobIsOver();
    this.isTold = false;
    if (!this.fails || error === undefined) return;
    const own = Object.getOwnPropertyDescriptor(socket, 'destroy');
    const { destroy } = socket;
    socket.destroy = (reason?: Error) => destroy.call(socket, reason && error);
    this.restore = () => {
      if (own === undefined) Reflect.deleteProperty(socket, 'destroy');
      else Object.defineProperty(socket, 'destroy', own);
    };
  }

  /** Node has been woken, or it never will be: the socket has gone. */
  end(): void {
    if (!this.fails) return;
    this.fails = false;
    const { disposed, error, socket } = this.told;
    if (!this.isTold && !socket.destroyed && !disposed) socket.destroy(error ?? unexplainedFailure());
    this.restore?.();
    this.restore = undefined;
  }
}

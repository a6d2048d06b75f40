/**
 * One connection of an edge.
 *
 * States, one way: open -> told goodbye -> closing (what comes from then on is refused) or peer ended (it sends none), answers still
 * leave -> ended (what comes is not looked at) -> closed. A broken frame leads there, too: nothing after it is looked at. A
 * request that was read is answered unless the connection goes first. Reading stops while too much is in flight or unread, of this connection or of its client ({@link ClientShare}).
 */
import type { TLSSocket } from 'node:tls';
import { Bag, type InBag, OUTSIDE } from '../bag.ts';
import type { Alarm, Clock } from '../clock.ts';
import { internals } from '../engine/tls-handle.ts';
import { KeylessError } from '../errors.ts';
import { errorItems, GOODBYE_ID, goodbyeItems, pongItems, resultItems } from '../protocol/answers.ts';
import { type Frame, FrameDecoder } from '../protocol/frame-decoder.ts';
import type { WireErrorCode } from '../protocol/opcodes.ts';
import { decodeRequest, type Request, waitMsOf } from '../protocol/request-decoder.ts';
import type { Items } from '../protocol/tags.ts';
import type { Asking, Outcome } from './asking.ts';
import { type Peer, serverConnectionEnd, serverOperation } from './channels.ts';
import type { ClientShare, Reader } from './client-share.ts';
import type { Grant } from './grants.ts';
import { OperationRecord } from './operation-record.ts';
import type { Operations } from './operations.ts';
import { Outbox } from './outbox.ts';
import type { PeerIdentity } from './peer-identity.ts';
import { REFUSALS, refusalOfCode } from './refusals.ts';
import { type AskingConnection, RequestAsking } from './request-asking.ts';
import type { PeerChain } from './revocations.ts';
import type { Rounds } from './rounds.ts';
import type { KnownClient } from './sessions.ts';

export interface SessionLimits {
  /** Requests read and not yet answered. */
  readonly maxInFlight: number;
  /** Milliseconds without a whole request. */
  readonly idleTimeoutMs: number;
}

/** Whose connection it is. */
export interface SessionClient {
  readonly peer: Peer;
  readonly identity: PeerIdentity;
  readonly chain: PeerChain;
  readonly grant: Grant;
  readonly known: KnownClient;
}

/** What all connections of a key server have in common. */
export interface SessionHost {
  readonly operations: Operations;
  readonly rounds: Rounds;
  readonly limits: SessionLimits;
  readonly clock: Clock;
}

/** An edge that has not read its answers for so long is not there for them. */
const UNREAD_MS = 10_000;

/** A request whose answer takes time. */
interface Pending extends InBag {
  readonly id: number;
  /** Of its frame. */
  readonly bytes: number;
  readonly record: OperationRecord;
  readonly asking: Asking;
}

/** What an edge may still send while its connection ends, before it is not read any more. */
const MAX_DROPPED_BYTES = 65_536;
/** A record counts as so many at least. */
const MIN_DROPPED_BYTES = 64;
/** How long an edge has to hear a goodbye, or the last answers, and to stop sending: several round trips across the world. */
const GOODBYE_MS = 500;

export class Session implements Reader, AskingConnection {
  readonly #socket: TLSSocket;
  readonly #peer: Peer;
  readonly identity: PeerIdentity;
  readonly client: string;
  readonly chain: PeerChain;
  #grant: Grant;
  readonly ours: boolean;
  readonly #operations: Operations;
  readonly #limits: SessionLimits;
  readonly #clock: Clock;
  readonly #share: ClientShare;
  #decoder = new FrameDecoder();
  /** A frame of it was: nothing after it can be understood. */
  #broken = false;
  readonly #outbox: Outbox;
  /** Of the decoder, as the client's share knows them. */
  #bytes = 0;
  readonly #pending = new Bag<Pending>();
  #closing = false;
  /** Of requests that had come when it began to close: they are still served. */
  #owedBytes = 0;
  #ended = false;
  #droppedBytes = 0;
  #peerEnded = false;
  #reading = true;
  /** Since when it has been read from and brought no whole request. */
  #silentSince: number;
  #idleAlarm: Alarm;
  /** Until when an edge that was told goodbye may still send; `undefined`: it was not. */
  #farewell: Alarm | undefined;
  #error: Error | undefined;
  /** Until when a peer that has too much to read must have read some; `undefined`: it has not. */
  #unread: Alarm | undefined;
  /** Requests answered, errors included. */
  answered = 0;
  /** Those of them that were not looked at, or not done, because the connection was to end. */
  unfinished = 0;

  constructor(socket: TLSSocket, client: SessionClient, { operations, rounds, limits, clock }: SessionHost) {
    this.#socket = socket;
    this.#peer = client.peer;
    this.identity = client.identity;
    this.chain = client.chain;
    this.#grant = client.grant;
    this.client = client.known.name;
    this.#share = client.known.share;
    this.ours = client.peer.profile === 'ours';
    this.#operations = operations;
    this.#limits = limits;
    this.#clock = clock;
    this.#outbox = new Outbox(socket, rounds, this.#share, () => this.work());
    this.#silentSince = clock.now();
    this.#idleAlarm = clock.after(limits.idleTimeoutMs, () => this.#checkIdle());
    this.#listen();
    this.#share.askToRead(this);
  }

  /** Requests read whose answers have not left. */
  get inFlight(): number {
    return this.#pending.size + this.#outbox.waiting;
  }

  /** The policy has changed: from here on the client may this. */
  set grant(grant: Grant) {
    this.#grant = grant;
  }

  get grant(): Grant {
    return this.#grant;
  }

  get isThere(): boolean {
    return this.#socket.writable;
  }

  now(): number {
    return this.#clock.now();
  }

  /**
   * Ends when the last answer has left. Edges of ours are told, and have time to hear it; nobody else knows what a
   * goodbye is. What has come by then is served, what comes afterwards is told to go elsewhere.
   */
  close(): void {
    if (this.#closing || this.#farewell !== undefined) return;
    if (this.#peer.profile === 'field' || !this.#socket.writable) {
      this.#serveNoMore();
      return;
    }
    this.#outbox.add(GOODBYE_ID, goodbyeItems());
    this.#farewell = this.#clock.after(GOODBYE_MS, () => this.#serveNoMore());
  }

  /** There is no more time: what is still being done is answered as if it had not been begun, and so is what comes. */
  giveUp(): void {
    this.#closing = true;
    this.#owedBytes = 0;
    for (const pending of this.#pending.members()) this.#settle(pending, 'ending');
    this.work();
  }

  #serveNoMore(): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#owedBytes = this.#decoder.bufferedBytes;
    this.work();
  }

  /** There is a client that has fewer connections, and no room for it. */
  giveWay(): void {
    this.destroy(
      new KeylessError('ERR_KEYLESS_OVERLOADED', 'There are too many connections, most of this client.'),
    );
  }

  /** Ends now. @param error `undefined`: nothing is wrong */
  destroy(error?: Error): void {
    this.#error ??= error;
    this.#socket.destroy();
  }

  #listen(): void {
    const socket = this.#socket;
    socket.on('data', (chunk: Buffer) => {
      this.#share.receive(chunk.length);
      if (this.#ended || this.#broken) this.#droppedBytes += Math.max(chunk.length, MIN_DROPPED_BYTES);
      else this.#decoder.push(chunk);
      this.work();
    });
    socket.on('end', () => {
      this.#peerEnded = true;
      this.work();
    });
    // Node tells of a record that does not verify, and leaves the connection open until something is written (20 to 26).
    socket.on('error', (error: Error) => this.destroy(error));
    socket.on('close', () => {
      this.#idleAlarm.cancel();
      this.#unread?.cancel();
      this.#farewell?.cancel();
      this.#leaveShare();
      if (serverConnectionEnd.hasSubscribers)
        serverConnectionEnd.publish({ peer: this.#peer, error: this.#error });
    });
  }

  /** Stops at once: `pause()` of Node's would go on until there is a buffer full of what nobody takes. */
  hold(): void {
    this.#reading = false;
    internals(this.#socket)._handle?.readStop();
  }

  readOn(): void {
    if (!this.#reading) this.#silentSince = this.#clock.now();
    this.#reading = true;
    internals(this.#socket)._handle?.readStart();
  }

  /** Takes the requests that may be taken, and lets the socket read on or not. */
  work(): void {
    if (this.#socket.destroyed) return;
    if (this.#ended) {
      this.#awaitEnd();
      return;
    }
    this.#watchReader();
    try {
      this.#takeFrames();
    } catch (error) {
      this.#error ??= error as Error;
      this.#broken = true;
      this.#decoder = new FrameDecoder();
    }
    this.#countBytes(this.#decoder.waitingBytes + this.#decoder.allocatedBytes);
    const idle = this.#mayTake() && this.#decoder.waitingBytes === 0;
    if (idle) this.#share.askToRead(this);
    else if (this.#mayTake()) this.#share.wait(this);
    else this.#share.leave(this);
    const isAll = this.#broken || ((this.#closing || this.#peerEnded) && idle);
    if (isAll && this.inFlight === 0) this.#end();
  }

  #end(): void {
    this.#ended = true;
    this.#socket.end(() => {
      if (this.#broken) this.#clock.after(GOODBYE_MS, () => this.destroy());
    });
    this.#share.leave(this);
    this.#awaitEnd();
  }

  /** Reads on, for the peer's own end; what comes before it is not looked at, and too much of it is not read. */
  #awaitEnd(): void {
    if (this.#droppedBytes < MAX_DROPPED_BYTES) this.readOn();
    else this.hold();
  }

  #mayTake(): boolean {
    return (
      !this.#ended && !this.#broken && this.inFlight < this.#limits.maxInFlight && !this.#outbox.congested
    );
  }

  #takeFrames(): void {
    while (this.#mayTake() && this.#share.mayTake(this)) {
      const bytes = this.#decoder.bufferedBytes;
      const frame = this.#decoder.next();
      if (frame === undefined) return;
      this.#take(frame, bytes - this.#decoder.bufferedBytes);
    }
  }

  #countBytes(bytes: number): void {
    this.#share.addBytes(bytes - this.#bytes);
    this.#bytes = bytes;
  }

  #leaveShare(): void {
    this.#share.leave(this);
    this.#countBytes(0);
    this.#outbox.close();
  }

  /** Closes a connection whose peer asks and does not read. */
  #watchReader(): void {
    if (!this.#outbox.congested) {
      this.#unread?.cancel();
      this.#unread = undefined;
      return;
    }
    this.#unread ??= this.#clock.after(UNREAD_MS, () =>
      this.destroy(new KeylessError('ERR_KEYLESS_TIMEOUT', `Answers were not read within ${UNREAD_MS} ms.`)),
    );
  }

  #take({ id, items }: Frame, bytes: number): void {
    this.#share.take(bytes);
    const request = decodeRequest(items);
    const now = this.#clock.now();
    this.#silentSince = now;
    const asking = new RequestAsking(this, now, waitMsOf(items));
    const record = new OperationRecord(this.#peer, items, request, now);
    const outcome = this.#isOwed(bytes) ? this.#perform(request, asking) : 'ending';
    if (!(outcome instanceof Promise)) {
      this.#answer(id, record, outcome, asking);
      return;
    }
    const pending = { id, bytes, record, asking, place: OUTSIDE };
    this.#pending.add(pending);
    this.#share.begin(bytes);
    outcome.then(
      (result) => this.#settle(pending, result),
      () => this.#settle(pending, 'failed'),
    );
  }

  #isOwed(bytes: number): boolean {
    if (!this.#closing) return true;
    const isOwed = this.#owedBytes > 0;
    this.#owedBytes -= bytes;
    return isOwed;
  }

  #settle(pending: Pending, outcome: Outcome): void {
    // It may have been given up.
    if (!this.#pending.delete(pending)) return;
    this.#share.end(pending.bytes);
    this.#answer(pending.id, pending.record, outcome, pending.asking);
  }

  #perform(request: Request | WireErrorCode, asking: Asking): Outcome | Promise<Outcome> {
    if (typeof request === 'number') return refusalOfCode(request);
    try {
      if (request.kind === 'sign') return this.#operations.sign(request, asking);
      if (request.kind === 'ping') return request.payload ?? NO_PAYLOAD;
      if (request.kind === 'capabilities') return this.#operations.capabilities(this.#grant);
      if (request.kind === 'ticket-keys') return this.#operations.ticketKeys(this.#grant, this.ours);
      return this.#operations.decrypt(request, asking);
    } catch {
      return 'failed';
    }
  }

  #answer(id: number, record: OperationRecord, outcome: Outcome, asking: Asking): void {
    this.answered += 1;
    if (outcome === 'ending') this.unfinished += 1;
    if (typeof outcome === 'string' && outcome !== 'abandoned') this.#share.refuse();
    if (this.#socket.writable) this.#send(id, itemsOf(record.request, outcome));
    // Also where nobody is left to answer: a signature was made, and the audit log says so.
    if (serverOperation.hasSubscribers)
      serverOperation.publish(record.end(outcome, this.#clock.now(), asking));
  }

  #send(id: number, items: Items): void {
    try {
      this.#outbox.add(id, items);
    } catch {
      // A key that answers with more than a frame holds, or with no bytes at all.
      this.#outbox.add(id, errorItems(REFUSALS.failed));
    }
  }

  #checkIdle(): void {
    const silentMs = this.#clock.now() - this.#silentSince;
    const { idleTimeoutMs } = this.#limits;
    const isAwaited = this.#reading || this.#ended;
    if (silentMs >= idleTimeoutMs && this.#pending.size === 0 && isAwaited) {
      this.destroy(new KeylessError('ERR_KEYLESS_TIMEOUT', `No whole request within ${idleTimeoutMs} ms.`));
      return;
    }
    const waitMs = Math.max(1, Math.ceil(idleTimeoutMs - silentMs));
    this.#idleAlarm = this.#clock.after(waitMs, () => this.#checkIdle());
  }
}

const NO_PAYLOAD = new Uint8Array(0);

function itemsOf(request: Request | WireErrorCode, outcome: Outcome): Items {
  if (typeof outcome === 'string') return errorItems(REFUSALS[outcome]);
  if (typeof request !== 'number' && request.kind === 'ping') return pongItems(request.payload);
  return resultItems(outcome);
}

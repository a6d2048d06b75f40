/**
 * What one client takes of the key server, over all its connections: requests in hand, bytes of them, answers that it has
 * not read, refusals, crumbs. Where it is at a bound none of its connections is read until there is room again, and where more
 * than one has something to be done they take turns. Whoever opens more connections gets no more of anything.
 *
 * Owner: {@link Shares}, from a client's first connection to its last answer. Its connections report what changes.
 */
import type { Clock } from '../clock.ts';
import type { Rounds, TakingTurns } from './rounds.ts';
import { type Rate, TokenBucket } from './token-bucket.ts';

/** A request counts once, and once more for each 4 KiB. */
const BYTES_SHIFT = 12;
/** Requests in hand, waiting to be looked at, or of which a part has come. */
const MAX_REQUEST_BYTES = 1_048_576;
/** Answers that wait to be written. */
const MAX_UNREAD_BYTES = 2_097_152;
/** Connections let read on in one turn: each may bring 64 KiB. */
const READ_ON_AT_ONCE = 8;
/** What is work and serves nobody: what a client may not, is not or cannot have, and crumbs; beyond, it waits. */
const WASTE = { perSecond: 1000, burst: 2000 } satisfies Rate;
/** After so long without any waste none counts any more. */
export const REFILL_MS = (1000 * WASTE.burst) / WASTE.perSecond;
const REST_MS = 20;
/** What comes in pieces below this, less than any request for a signature has, costs more to receive than to answer. */
const CRUMB_BYTES = 64;

/** One connection of the client. */
export interface Reader {
  /** Takes requests while it may, and says whether it waits or reads on. */
  work(): void;
  /** Reads no further. */
  hold(): void;
  /** Reads on. */
  readOn(): void;
}

export class ClientShare implements TakingTurns {
  readonly #rounds: Rounds;
  readonly #clock: Clock;
  readonly #maxInFlight: number;
  readonly #onIdle: () => void;
  readonly #waste: TokenBucket;
  /** With requests that have come and may not be taken yet, in the order of their turns. */
  readonly #waiting = new Set<Reader>();
  readonly #reading = new Set<Reader>();
  /** Would read, but the client is at a bound; in the order in which they may again. */
  readonly #held = new Set<Reader>();
  #current: Reader | undefined;
  #round = -1;
  #left = 0;
  #inFlight = 0;
  #requestBytes = 0;
  #unreadBytes = 0;
  #resting = false;

  /**
   * @param maxInFlight requests in hand at once
   * @param onIdle no more is in hand
   */
  constructor(rounds: Rounds, clock: Clock, maxInFlight: number, onIdle: () => void) {
    this.#rounds = rounds;
    this.#clock = clock;
    this.#maxInFlight = maxInFlight;
    this.#onIdle = onIdle;
    this.#waste = new TokenBucket(WASTE, clock);
  }

  /** Requests in hand whose answers are not made. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** @returns whether the connection may take a request now; if not, and it has one, it is to {@link wait} */
  mayTake(reader: Reader): boolean {
    return this.#mayTakeAny() && (this.#waiting.size === 0 || reader === this.#current);
  }

  /** A request is taken. @param bytes of its frame */
  take(bytes: number): void {
    this.#left -= 1 + (bytes >> BYTES_SHIFT);
    this.#rounds.schedule();
  }

  /** Its answer takes time. */
  begin(bytes: number): void {
    this.#inFlight += 1;
    this.#requestBytes += bytes;
  }

  /** As {@link begin}: its answer is there. */
  end(bytes: number): void {
    this.#inFlight -= 1;
    this.#requestBytes -= bytes;
    this.#wake();
    if (this.#inFlight === 0) this.#onIdle();
  }

  /** A request was refused: who asks for nothing but what is refused is to cost next to nothing. */
  refuse(): void {
    this.#rest(this.#waste.spend(1));
  }

  /**
   * A record has come: each is work, also one of a single byte, and there may be thousands in what is read at once.
   *
   * @param bytes in it
   */
  receive(bytes: number): void {
    if (bytes < CRUMB_BYTES) this.#rest(this.#waste.spend(1 - bytes / CRUMB_BYTES));
  }

  /** @param bytes of requests that have come, whole or in part, and are not in hand: more, or, below 0, fewer */
  addBytes(bytes: number): void {
    this.#requestBytes += bytes;
    if (bytes < 0) this.#wake();
    else if (this.#isFull()) this.#holdAll();
  }

  /** @param bytes of answers that wait to be written, as above */
  addUnreadBytes(bytes: number): void {
    this.#unreadBytes += bytes;
    if (bytes < 0) this.#wake();
  }

  /** The connection has requests that it may not take now; it does not read. */
  wait(reader: Reader): void {
    if (this.#waiting.has(reader)) return;
    this.#leaveLists(reader);
    this.#waiting.add(reader);
    reader.hold();
    this.#wake();
  }

  /** The connection would read; it is told to, or not to until there is room. */
  askToRead(reader: Reader): void {
    if (this.#reading.has(reader) && !this.#isFull()) return;
    this.#leaveLists(reader);
    if (!this.#isFull()) {
      this.#readOn(reader);
      return;
    }
    this.#hold(reader);
    this.#wake();
  }

  /** The connection does not want to read for the time being, or has gone. */
  leave(reader: Reader): void {
    this.#leaveLists(reader);
    reader.hold();
    this.#wake();
  }

  turn(): void {
    while (this.#waiting.size > 0 && this.#mayTakeAny()) {
      const [reader] = this.#waiting;
      this.#waiting.delete(reader!);
      this.#current = reader;
      reader!.work();
      this.#current = undefined;
    }
    let count = 0;
    for (const reader of this.#held) {
      if (!this.#mayReadOn() || count === READ_ON_AT_ONCE) break;
      this.#held.delete(reader);
      this.#readOn(reader);
      count += 1;
    }
    this.#wake();
  }

  #mayTakeAny(): boolean {
    if (this.#round !== this.#rounds.number) {
      this.#round = this.#rounds.number;
      this.#left = this.#rounds.turnSize;
    }
    return this.#left > 0 && this.#hasRoom();
  }

  #hasRoom(): boolean {
    return !this.#resting && this.#inFlight < this.#maxInFlight && this.#unreadBytes < MAX_UNREAD_BYTES;
  }

  /** Nothing more is to be read: what has come is enough. */
  #isFull(): boolean {
    return !this.#hasRoom() || this.#requestBytes >= MAX_REQUEST_BYTES;
  }

  /** Where parts of requests are all that it is full of, a few connections at a time may bring the rest of their own. */
  #mayReadOn(): boolean {
    if (!this.#isFull()) return true;
    const isIdle = this.#inFlight === 0 && this.#waiting.size === 0 && this.#hasRoom();
    return isIdle && this.#reading.size < READ_ON_AT_ONCE;
  }

  #wake(): void {
    const isWaiting = this.#waiting.size > 0 && this.#hasRoom();
    if (isWaiting || (this.#held.size > 0 && this.#mayReadOn())) this.#rounds.addTurn(this);
  }

  /** @param owedMs until nothing more is owed; what goes on meanwhile makes it longer */
  #rest(owedMs: number): void {
    if (owedMs === 0 || this.#resting) return;
    this.#resting = true;
    this.#holdAll();
    this.#clock.after(Math.max(REST_MS, owedMs), () => this.#endRest());
  }

  #endRest(): void {
    this.#resting = false;
    this.#rest(this.#waste.spend(0));
    this.#wake();
  }

  #holdAll(): void {
    for (const reader of this.#reading) this.#hold(reader);
  }

  #hold(reader: Reader): void {
    this.#reading.delete(reader);
    this.#held.add(reader);
    reader.hold();
  }

  #readOn(reader: Reader): void {
    this.#reading.add(reader);
    reader.readOn();
  }

  #leaveLists(reader: Reader): void {
    this.#waiting.delete(reader);
    this.#reading.delete(reader);
    this.#held.delete(reader);
  }
}

/**
 * A connection of HTTP/1.1. One request of it is under way at a time (RFC 9112 §9.3.2), however many its client sends at
 * once: Node's parser would take, and ask for, all of them, so it is given what ends with the first, and what comes behind
 * when that is answered.
 *
 * States: free <-> taken (by a request without its whole answer) -> ended, by its last answer; or left, to another protocol.
 * A request may be answered before its body is whole: what is still to come of that is read on, and goes where it went.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { CR, EmptyLines, LF } from './empty-lines.ts';

/** Who sends more ahead is no longer read from; who sends less is noticed when it goes. */
const MOST_AHEAD_BYTES = 65_536;
const NOTHING = Buffer.alloc(0);

type Feed = (bytes: Buffer) => void;

export class Line {
  readonly #socket: TLSSocket;
  readonly #parse: Feed;
  readonly #take: Feed = (bytes) => this.#hold(bytes);
  readonly #closing: () => boolean;
  readonly #restMs: number;
  readonly #destroySoon: () => void;
  readonly #emptyLines = new EmptyLines();
  #held: Buffer = NOTHING;
  #paused = false;
  /** The last one that has come. */
  #last: IncomingMessage | undefined;
  /** It has its whole answer. */
  #answered = true;
  /** Until the rest of an answered request has to be there. */
  #alarm: NodeJS.Timeout | undefined;
  /** What is still to come of the body of the last request, if its length is known. */
  #bodyBytes = 0;
  /** Whether bytes of the next request have come. */
  #begun = false;
  #ending = false;
  #left = false;

  /**
   * @param socket a server of node:http has it
   * @param closing whether clients are asked to connect anew
   * @param restMs from an answer on, for the rest of its request
   */
  constructor(socket: TLSSocket, closing: () => boolean, restMs: number) {
    this.#socket = socket;
    this.#closing = closing;
    this.#restMs = restMs;
    this.#destroySoon = socket.destroySoon;
    // This is how Node ends a connection after its last answer.
    socket.destroySoon = () => this.#close();
    socket.on('close', () => clearTimeout(this.#alarm));
    [this.#parse] = socket.listeners('data') as [Feed];
    socket.off('data', this.#parse).on('data', this.#take);
  }

  /** Without a request. */
  get free(): boolean {
    return this.#answered;
  }

  /** The one without its whole answer. */
  get request(): IncomingMessage | undefined {
    return this.#answered ? undefined : this.#last;
  }

  /** Whether there is more to come of the last request, answered or not. */
  get partial(): boolean {
    return this.#last?.complete === false;
  }

  /** Whether something has come of a request that is not there yet. */
  get begun(): boolean {
    return this.free && this.#begun;
  }

  /** An answer says that it is the last one: what comes behind it is not looked at (RFC 9112 §9.6). */
  end(): void {
    this.#ending = true;
  }

  /** @returns `false`: it is not looked at */
  begin(request: IncomingMessage, response: ServerResponse): boolean {
    if (!this.free || this.#ending) {
      this.#ending = true;
      return false;
    }
    [this.#last, this.#answered] = [request, false];
    this.#bodyBytes = Number(request.headers['content-length']) || 0;
    this.#emptyLines.reset();
    response.on('close', () => this.#answeredLast());
    return true;
  }

  /** Others read from the connection now. @returns what has come behind the request that they are for */
  leave(): Buffer {
    this.#left = true;
    this.#socket.off('data', this.#take);
    this.#socket.destroySoon = this.#destroySoon;
    return this.#held;
  }

  #answeredLast(): void {
    this.#answered = true;
    this.#begun = false;
    if (this.partial) this.#alarm = setTimeout(() => this.#socket.destroy(), this.#restMs);
    if (this.#ending || this.#closing()) this.#close();
    if (this.#paused) this.#socket.resume();
    this.#paused = false;
    this.#flow();
  }

  /**
   * Not before its client has sent what it is sending, or has gone: the rest would be answered by a reset, and who sends before
   * it reads would not read its answer (RFC 9112 §9.6).
   */
  #close(): void {
    this.#ending = true;
    if (this.partial && !this.#socket.readableEnded) this.#socket.end();
    else this.#destroySoon.call(this.#socket);
  }

  #hold(bytes: Buffer): void {
    if (this.#over) return;
    this.#held = this.#held.length === 0 ? bytes : Buffer.concat([this.#held, bytes]);
    this.#flow();
    if (this.#held.length < MOST_AHEAD_BYTES) return;
    this.#paused = true;
    this.#socket.pause();
  }

  /** What belongs to a request goes on to it, also if the connection ends with its answer. */
  get #over(): boolean {
    if (this.#left || this.#socket.destroyed) return true;
    return !this.partial && (this.#ending || !this.#socket.writable);
  }

  get #waits(): boolean {
    return this.#over || this.request?.complete === true;
  }

  #flow(): void {
    while (this.#held.length > 0 && !this.#waits) {
      const size = this.#nextSize();
      const bytes = this.#held.subarray(0, size);
      this.#held = this.#held.subarray(size);
      if (!this.partial) this.#begun = true;
      this.#parse(bytes);
      if (this.#alarm !== undefined && !this.partial) this.#whole();
    }
  }

  /** The rest of an answered request is there. */
  #whole(): void {
    clearTimeout(this.#alarm);
    this.#alarm = undefined;
    if (this.#ending) this.#close();
  }

  /** At most one request ends, or one head, in what is parsed next. */
  #nextSize(): number {
    if (this.#bodyBytes === 0) return this.#sizeUpToEmptyLines();
    const size = Math.min(this.#bodyBytes, this.#held.length);
    this.#bodyBytes -= size;
    return size;
  }

  /** In a body of unknown length, which may be made of them, with all those that follow: in front of a head they mean nothing. */
  #sizeUpToEmptyLines(): number {
    let size = this.#emptyLines.sizeUpTo(this.#held);
    if (!this.partial) return size;
    while (this.#held[size] === LF || this.#held[size] === CR) size += 1;
    return size;
  }
}

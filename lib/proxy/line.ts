/**
 * A connection of HTTP/1.1. One request of it is under way at a time (RFC 9112 §9.3.2), however many its client sends at
 * once: Node's parser would take, and ask for, all of them, so it is given what ends with the first, and what comes behind
 * when that is answered.
 *
 * States: free <-> taken (by a request without its whole answer) -> ended, by its last answer; or left, to another protocol.
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
  readonly #emptyLines = new EmptyLines();
  #held: Buffer = NOTHING;
  #paused = false;
  /** Has not got its whole answer. */
  #request: IncomingMessage | undefined;
  /** What is still to come of the body of the last request, if its length is known. */
  #bodyBytes = 0;
  /** Whether bytes of the next request have come. */
  #begun = false;
  #ending = false;
  #left = false;

  /**
   * @param socket a server of node:http has it
   * @param closing whether clients are asked to connect anew
   */
  constructor(socket: TLSSocket, closing: () => boolean) {
    this.#socket = socket;
    this.#closing = closing;
    [this.#parse] = socket.listeners('data') as [Feed];
    socket.off('data', this.#parse).on('data', this.#take);
  }

  /** Without a request. */
  get free(): boolean {
    return this.#request === undefined;
  }

  /** The one without its whole answer. */
  get request(): IncomingMessage | undefined {
    return this.#request;
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
    this.#request = request;
    this.#bodyBytes = Number(request.headers['content-length']) || 0;
    this.#emptyLines.reset();
    response.on('close', () => this.#answered());
    return true;
  }

  /** Others read from the connection now. @returns what has come behind the request that they are for */
  leave(): Buffer {
    this.#left = true;
    this.#socket.off('data', this.#take);
    return this.#held;
  }

  #answered(): void {
    this.#request = undefined;
    this.#begun = false;
    if (this.#ending || this.#closing()) this.#socket.destroySoon();
    if (this.#paused) this.#socket.resume();
    this.#paused = false;
    this.#flow();
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
    return this.#left || !this.#socket.writable || (this.#ending && this.#request?.complete !== false);
  }

  get #waits(): boolean {
    return this.#over || this.#request?.complete === true;
  }

  #flow(): void {
    while (this.#held.length > 0 && !this.#waits) {
      const size = this.#nextSize();
      const bytes = this.#held.subarray(0, size);
      this.#held = this.#held.subarray(size);
      this.#begun = true;
      this.#parse(bytes);
    }
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
    if (this.#request === undefined) return size;
    while (this.#held[size] === LF || this.#held[size] === CR) size += 1;
    return size;
  }
}

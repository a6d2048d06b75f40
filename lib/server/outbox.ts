/** The answers of one connection: all that are ready in a turn of the loop leave in one write. */
import type { TLSSocket } from 'node:tls';

/** Answers that a peer has not read, before the key server reads no further requests of it. */
const MAX_UNREAD_BYTES = 262_144;

export class Outbox {
  readonly #socket: TLSSocket;
  readonly #onFlush: () => void;
  #frames: Buffer[] = [];
  #bytes = 0;

  /** @param onFlush after each write */
  constructor(socket: TLSSocket, onFlush: () => void) {
    this.#socket = socket;
    this.#onFlush = onFlush;
  }

  /** Answers that wait for the end of the turn. */
  get waiting(): number {
    return this.#frames.length;
  }

  /** The peer does not read: `drain` of the socket says when it has. */
  get congested(): boolean {
    return this.#bytes + this.#socket.writableLength > MAX_UNREAD_BYTES;
  }

  add(frame: Buffer): void {
    if (this.#frames.length === 0) setImmediate(() => this.#flush());
    this.#frames.push(frame);
    this.#bytes += frame.length;
  }

  #flush(): void {
    const [first] = this.#frames;
    const frames = this.#frames;
    this.#frames = [];
    this.#bytes = 0;
    if (first !== undefined && this.#socket.writable) {
      this.#socket.write(frames.length === 1 ? first : Buffer.concat(frames));
    }
    this.#onFlush();
  }
}

/**
 * The answers of one connection: all that are ready in a turn of the loop are encoded side by side, in memory of just their
 * size, and leave in one write. A connection that has nothing to say holds none.
 */
import type { TLSSocket } from 'node:tls';
import { frameBytes, writeFrame } from '../protocol/frame-encoder.ts';
import type { Items } from '../protocol/tags.ts';

/** Answers that a peer has not read, before the key server reads no further requests of it. */
const MAX_UNREAD_BYTES = 262_144;

interface Answer {
  readonly id: number;
  readonly items: Items;
  readonly bytes: number;
}

export class Outbox {
  readonly #socket: TLSSocket;
  readonly #onFlush: () => void;
  #answers: Answer[] = [];
  #bytes = 0;

  /** @param onFlush after each write */
  constructor(socket: TLSSocket, onFlush: () => void) {
    this.#socket = socket;
    this.#onFlush = onFlush;
  }

  /** Answers that wait for the end of the turn. */
  get waiting(): number {
    return this.#answers.length;
  }

  /** The peer does not read: `drain` of the socket says when it has. */
  get congested(): boolean {
    return this.#bytes + this.#socket.writableLength > MAX_UNREAD_BYTES;
  }

  /** @param items not to be changed afterwards. @throws ERR_KEYLESS_INVALID_ARGUMENT for too many bytes, and nothing is added */
  add(id: number, items: Items): void {
    const bytes = frameBytes(items);
    if (this.#answers.length === 0) setImmediate(() => this.#flush());
    this.#answers.push({ id, items, bytes });
    this.#bytes += bytes;
  }

  #flush(): void {
    const answers = this.#answers;
    const bytes = this.#bytes;
    this.#answers = [];
    this.#bytes = 0;
    if (this.#socket.writable) this.#socket.write(encode(answers, bytes));
    this.#onFlush();
  }
}

function encode(answers: readonly Answer[], total: number): Buffer {
  const frames = Buffer.alloc(total);
  let start = 0;
  for (const { id, items, bytes } of answers) {
    writeFrame(frames, start, bytes, id, items);
    start += bytes;
  }
  return frames;
}

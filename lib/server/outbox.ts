/**
 * The answers of one connection: all that are ready in a turn of the loop are encoded side by side, in memory of just their
 * size, and leave in one write. A connection that has nothing to say holds none.
 */
import type { TLSSocket } from 'node:tls';
import { frameBytes, writeFrame } from '../protocol/frame-encoder.ts';
import type { Items } from '../protocol/tags.ts';
import type { ClientShare } from './client-share.ts';
import type { Flushed, Rounds } from './rounds.ts';

/** Answers that a peer has not read, before the key server reads no further requests of it. */
const MAX_UNREAD_BYTES = 262_144;

interface Answer {
  readonly id: number;
  readonly items: Items;
  readonly bytes: number;
}

export class Outbox implements Flushed {
  readonly #socket: TLSSocket;
  readonly #rounds: Rounds;
  readonly #share: ClientShare;
  readonly #onFlush: () => void;
  #answers: Answer[] = [];
  #bytes = 0;
  /** Of the answers that wait and of those that the system has not taken. */
  #unreadBytes = 0;
  #closed = false;

  /** @param onFlush after each write, and when it is through */
  constructor(socket: TLSSocket, rounds: Rounds, share: ClientShare, onFlush: () => void) {
    this.#socket = socket;
    this.#rounds = rounds;
    this.#share = share;
    this.#onFlush = onFlush;
  }

  /** Answers that wait for the end of the turn. */
  get waiting(): number {
    return this.#answers.length;
  }

  /** The peer does not read. */
  get congested(): boolean {
    return this.#unreadBytes > MAX_UNREAD_BYTES;
  }

  /** @param items not to be changed afterwards. @throws ERR_KEYLESS_INVALID_ARGUMENT for too many bytes, and nothing is added */
  add(id: number, items: Items): void {
    const bytes = frameBytes(items);
    if (this.#answers.length === 0) this.#rounds.addFlush(this);
    this.#answers.push({ id, items, bytes });
    this.#bytes += bytes;
    this.#count(bytes);
  }

  /** The connection has gone, and what it was to read with it. */
  close(): void {
    this.#count(-this.#unreadBytes);
    this.#closed = true;
    this.#answers = [];
  }

  flush(): void {
    if (this.#closed) return;
    const answers = this.#answers;
    const bytes = this.#bytes;
    this.#answers = [];
    this.#bytes = 0;
    if (!this.#socket.writable) return;
    this.#socket.write(encode(answers, bytes), () => this.#written(bytes));
    this.#onFlush();
  }

  #written(bytes: number): void {
    if (this.#closed) return;
    const wasCongested = this.congested;
    this.#count(-bytes);
    if (wasCongested) this.#onFlush();
  }

  #count(bytes: number): void {
    this.#unreadBytes += bytes;
    this.#share.addUnreadBytes(bytes);
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

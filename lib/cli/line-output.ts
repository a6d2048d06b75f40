/**
 * Standard output for lines: never waited for, bounded, and never in the way of the process's end. What pino has for it (sonic-boom)
 * writes the rest when the process exits, synchronously and for as long as the system says that it cannot be written.
 *
 * States: open -> gone (nobody reads any more). What cannot be written for another reason is tried again with the next line.
 */
import { write } from 'node:fs';
import { setTimeout } from '../timers.ts';

const STDOUT = 1;
/** Lines that nobody reads, before more are dropped: the log's reader does not hold up the key server. */
const MAX_UNREAD_BYTES = 1_048_576;
/** Of one write, unless one line is longer. */
const CHUNK_BYTES = 16_384;
/** Another process has the pipe such that writes do not wait: it is full, and nobody says when it is not. */
const FULL_PAUSE_MS = 100;

export class LineOutput {
  /** Whole lines, in the order of their writes. */
  #chunks: string[] = [];
  #unreadBytes = 0;
  /** What a write has begun with. */
  #rest: Buffer = Buffer.alloc(0);
  #writing = false;
  #gone = false;
  #reportGone: () => void = () => undefined;
  /** Whoever waits for what is unread. */
  #waiting: Array<() => void> = [];
  /** Resolves when nobody reads any more, as behind `| head`: what is printed from then on is lost. */
  readonly readerGone = new Promise<void>((resolve) => {
    this.#reportGone = resolve;
  });

  /** @returns whether there was room for it */
  write(line: string): boolean {
    if (this.#gone) return true;
    const bytes = Buffer.byteLength(line);
    const hasRoom = this.#unreadBytes + bytes <= MAX_UNREAD_BYTES;
    if (hasRoom) this.#add(line, bytes);
    // Also without room: a full disk may have some again, and nobody else would notice.
    if (!this.#writing) this.#write();
    return hasRoom;
  }

  /** Resolves when all is written, or cannot be. */
  flushed(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      if (!this.#writing) this.#write();
    });
  }

  #add(line: string, bytes: number): void {
    this.#unreadBytes += bytes;
    const last = this.#chunks.length - 1;
    if (last >= 0 && this.#chunks[last]!.length + bytes <= CHUNK_BYTES) this.#chunks[last] += line;
    else this.#chunks.push(line);
  }

  #write(): void {
    if (this.#rest.length === 0) this.#rest = Buffer.from(this.#chunks.shift() ?? '');
    this.#writing = this.#rest.length > 0;
    if (this.#writing) write(STDOUT, this.#rest, (error, written) => this.#onWritten(error, written));
    else this.#wake();
  }

  #onWritten(error: NodeJS.ErrnoException | null, written: number): void {
    if (error?.code === 'EAGAIN') {
      setTimeout(() => this.#write(), FULL_PAUSE_MS).unref();
      return;
    }
    if (error === null) {
      this.#unreadBytes -= written;
      this.#rest = this.#rest.subarray(written);
      this.#write();
      return;
    }
    this.#writing = false;
    if (error.code === 'EPIPE') this.#endReading();
    this.#wake();
  }

  #endReading(): void {
    this.#gone = true;
    this.#chunks = [];
    this.#rest = Buffer.alloc(0);
    this.#reportGone();
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }
}

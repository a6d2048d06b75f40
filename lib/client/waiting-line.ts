/**
 * Operations that wait until a key server is there, or has room for them.
 *
 * In turn, as long as that serves everybody in time. When the first one has waited for half of its time, more come than can be
 * done: then the newest is next. In turn, each would be answered when its client is about to give up, or has; so most are
 * answered at once, and those that cannot be served run out of time without having cost a key server anything.
 */

export interface Waiting {
  /** Milliseconds on the clock. */
  readonly startedAt: number;
  readonly request: { readonly deadline: number };
}

/** Of an operation's time: who has waited for so much of it is at risk. */
const RISKY_SHARE = 0.5;
/** What has been taken at the head is let go of when there is so much. */
const COMPACT_AT = 1024;

function isAtRisk({ startedAt, request }: Waiting, now: number): boolean {
  return now - startedAt > (request.deadline - startedAt) * RISKY_SHARE;
}

export class WaitingLine<T extends Waiting> {
  /** In the order in which they came; who is in no {@link #waiting} any more has gone. */
  #line: T[] = [];
  #head = 0;
  readonly #waiting = new Set<T>();

  get size(): number {
    return this.#waiting.size;
  }

  add(operation: T): void {
    this.#waiting.add(operation);
    this.#line.push(operation);
  }

  /** It has settled, whether it was waiting or not. */
  remove(operation: T): void {
    this.#waiting.delete(operation);
  }

  /** @returns who is next; `undefined`: nobody waits */
  take(now: number): T | undefined {
    const oldest = this.#oldest();
    if (oldest === undefined || !isAtRisk(oldest, now)) return this.takeOldest();
    let newest = this.#line.pop()!;
    while (!this.#waiting.has(newest)) newest = this.#line.pop()!;
    this.#waiting.delete(newest);
    return newest;
  }

  /** @returns who came first; `undefined`: nobody waits */
  takeOldest(): T | undefined {
    const oldest = this.#oldest();
    if (oldest === undefined) return undefined;
    this.#head += 1;
    this.#waiting.delete(oldest);
    return oldest;
  }

  #oldest(): T | undefined {
    if (this.#waiting.size === 0) {
      this.#line = [];
      this.#head = 0;
      return undefined;
    }
    while (!this.#waiting.has(this.#line[this.#head]!)) this.#head += 1;
    if (this.#head >= COMPACT_AT) {
      this.#line = this.#line.slice(this.#head);
      this.#head = 0;
    }
    return this.#line[this.#head];
  }
}

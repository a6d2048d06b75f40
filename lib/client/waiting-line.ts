/**
 * Operations that wait for the same key servers, in the order of their deadlines: with equal time-outs that is the order in which
 * they came.
 *
 * In turn, as long as that serves everybody in time. When the first one has waited for half of its time, more come than can be
 * done: then who has the most time left is next, the newest as a rule. In turn, each would be answered when its client is about to
 * give up, or has; so most are answered at once, and those that cannot be served run out of time without having cost a key
 * server anything.
 */

export interface Waiting {
  /** Milliseconds on the clock. */
  readonly startedAt: number;
  readonly request: { readonly deadline: number };
}

/** Of an operation's time: who has waited for so much of it is at risk. */
const RISKY_SHARE = 0.5;
/** Those who have gone are let go of when there are so many more of them than of those who wait. */
const COMPACT_AT = 64;

function isAtRisk({ startedAt, request }: Waiting, now: number): boolean {
  return now - startedAt > (request.deadline - startedAt) * RISKY_SHARE;
}

export class WaitingLine<T extends Waiting> {
  /** In the order of their deadlines; who is in no {@link #waiting} any more has gone. */
  #line: T[] = [];
  #head = 0;
  readonly #waiting = new Set<T>();

  get size(): number {
    return this.#waiting.size;
  }

  add(operation: T): void {
    this.#waiting.add(operation);
    const at = this.#placeOf(operation);
    if (at === this.#line.length) this.#line.push(operation);
    else this.#line.splice(at, 0, operation);
  }

  /** It has settled, whether it was waiting or not. */
  remove(operation: T): void {
    if (this.#waiting.delete(operation)) this.#letGo();
  }

  /** Who is next to be served, and does not leave by that; `undefined`: nobody waits. */
  next(now: number): T | undefined {
    const { first } = this;
    if (first === undefined || !isAtRisk(first, now)) return first;
    while (!this.#waiting.has(this.#line.at(-1)!)) this.#line.pop();
    return this.#line.at(-1);
  }

  /** Whose deadline is the next; `undefined`: nobody waits. */
  get first(): T | undefined {
    if (this.#waiting.size === 0) return undefined;
    while (!this.#waiting.has(this.#line[this.#head]!)) this.#head += 1;
    return this.#line[this.#head];
  }

  /** Behind all whose deadlines are not later: nearly always at the end. Elsewhere the rest moves up: some 5 µs where 10,000 wait. */
  #placeOf({ request: { deadline } }: T): number {
    let [from, to] = [this.#head, this.#line.length];
    if (to > from && this.#line[to - 1]!.request.deadline <= deadline) return to;
    while (from < to) {
      const middle = (from + to) >>> 1;
      if (this.#line[middle]!.request.deadline <= deadline) from = middle + 1;
      else to = middle;
    }
    return from;
  }

  /** Rarely, and then all at once: nobody's going costs more than a few steps. */
  #letGo(): void {
    const gone = this.#line.length - this.#waiting.size;
    if (this.#waiting.size > 0 && gone < this.#waiting.size + COMPACT_AT) return;
    this.#line =
      this.#waiting.size === 0 ? [] : this.#line.slice(this.#head).filter((each) => this.#waiting.has(each));
    this.#head = 0;
  }
}

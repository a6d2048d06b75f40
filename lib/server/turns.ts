/**
 * Who comes next where cryptography takes long: clients in turn, however many requests and connections each has. What
 * nobody waits for any more is not begun.
 */

/** Who asks. */
export interface Asker {
  /** Connections with the same name share their turns. */
  readonly client: string;
  /** Whether there is still somebody to answer. */
  wanted(): boolean;
}

/** Why work was not begun: too much waits already; nobody waits for it any more; nothing is begun any more. */
export type Unbegun = 'overloaded' | 'abandoned' | 'ending';

interface Waiting {
  readonly asker: Asker;
  begin(): void;
  drop(why: Unbegun): void;
}

export class Turns {
  readonly #limit: () => number;
  readonly #maxWaiting: number;
  /** Clients with something to do, in the order of their turns. */
  readonly #queues = new Map<string, Waiting[]>();
  #running = 0;
  #waiting = 0;
  #ended = false;

  /**
   * @param limit operations at once, now
   * @param maxWaiting operations that wait, of all clients; beyond, they are refused
   */
  constructor(limit: () => number, maxWaiting: number) {
    this.#limit = limit;
    this.#maxWaiting = maxWaiting;
  }

  /** Operations that have not begun. */
  get waiting(): number {
    return this.#waiting;
  }

  /**
   * @param work begins now or later, or never; settles with what it settles with, or with why it never began
   * @throws (or rejects, if it has waited) what `work` throws
   */
  run<T>(asker: Asker, work: () => T | Promise<T>): T | Unbegun | Promise<T | Unbegun> {
    if (this.#ended) return 'ending';
    if (this.#running < this.#limit() && this.#waiting === 0) return this.#begin(work);
    if (this.#waiting >= this.#maxWaiting) return 'overloaded';
    return new Promise((resolve, reject) => {
      const begin = () => this.#beginFor(work, resolve, reject);
      this.#add({ asker, begin, drop: resolve });
    });
  }

  /** Begins nothing any more, now or later; what has begun goes on. */
  end(): void {
    this.#ended = true;
    for (let waiting = this.#take(); waiting !== undefined; waiting = this.#take()) waiting.drop('ending');
  }

  #begin<T>(work: () => T | Promise<T>): T | Promise<T> {
    const result = work();
    if (!(result instanceof Promise)) return result;
    this.#running += 1;
    const next = () => {
      this.#running -= 1;
      this.#next();
    };
    result.then(next, next);
    return result;
  }

  /** As {@link #begin}, for who has waited: a promise that is resolved by another one costs as much as three. */
  #beginFor<T>(
    work: () => T | Promise<T>,
    resolve: (result: T) => void,
    reject: (error: unknown) => void,
  ): void {
    let result: T | Promise<T>;
    try {
      result = work();
    } catch (error) {
      reject(error);
      return;
    }
    if (!(result instanceof Promise)) {
      resolve(result);
      return;
    }
    this.#running += 1;
    const end =
      <V>(settle: (value: V) => void) =>
      (value: V) => {
        settle(value);
        this.#running -= 1;
        this.#next();
      };
    result.then(end(resolve), end(reject));
  }

  #add(waiting: Waiting): void {
    this.#waiting += 1;
    const { client } = waiting.asker;
    const queue = this.#queues.get(client);
    if (queue === undefined) this.#queues.set(client, [waiting]);
    else queue.push(waiting);
  }

  #next(): void {
    while (this.#running < this.#limit()) {
      const waiting = this.#take();
      if (waiting === undefined) return;
      if (waiting.asker.wanted()) waiting.begin();
      else waiting.drop('abandoned');
    }
  }

  /** The first of the client whose turn it is, which goes to the end of the line. */
  #take(): Waiting | undefined {
    const [turn] = this.#queues;
    if (turn === undefined) return undefined;
    const [client, queue] = turn;
    const first = queue.shift()!;
    this.#queues.delete(client);
    if (queue.length > 0) this.#queues.set(client, queue);
    this.#waiting -= 1;
    return first;
  }
}

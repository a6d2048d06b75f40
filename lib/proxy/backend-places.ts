/**
 * Who may have a connection to a backend, each of which is an open file and for one connection of a client at a time. That
 * may always have one. What one of HTTP/2 needs beyond that is out of a common stock, of which each may hold as much as is
 * left for others: the first up to a half.
 *
 * So there are never more than one for each connection of a client, and the stock, whatever strangers ask for, and none of
 * them keeps another from its one.
 */
import { FairQueue } from './fair-queue.ts';
import { Holdings } from './holdings.ts';

/** Who waits for a connection. */
export interface WaitingForPlace {
  /**
   * @param giveBack to be called once, later: the connection is nobody's any more
   * @throws Error for a request that cannot be sent
   */
  start(giveBack: () => void): void;
  fail(error: Error): void;
}

export class BackendPlaces {
  readonly #queue = new FairQueue<WaitingForPlace>();
  readonly #held = new Holdings();
  /** Of the stock. */
  #free: number;

  /** @param stock connections beyond one for each connection of a client */
  constructor(stock: number) {
    this.#free = stock;
  }

  /** @param owner the client's connection; @returns ends the waiting, if it still waits */
  request(owner: object, waiting: WaitingForPlace): () => void {
    // Nobody waits who may begin.
    if (!this.#mayStart(owner)) return this.#queue.add(owner, waiting);
    this.#start(owner, waiting);
    return () => undefined;
  }

  #mayStart(owner: object): boolean {
    return this.#held.of(owner) === 0 || this.#held.of(owner) <= this.#free;
  }

  #start(owner: object, waiting: WaitingForPlace): void {
    if (this.#held.of(owner) > 0) this.#free -= 1;
    this.#held.take(owner);
    try {
      waiting.start(() => this.#giveBack(owner));
    } catch (error) {
      this.#leave(owner);
      waiting.fail(error as Error);
    }
  }

  #leave(owner: object): void {
    this.#held.giveBack(owner);
    if (this.#held.of(owner) > 0) this.#free += 1;
  }

  #giveBack(owner: object): void {
    this.#leave(owner);
    for (;;) {
      const next = this.#queue.next((each) => this.#mayStart(each));
      if (next === undefined) return;
      this.#start(next.owner, next.item);
    }
  }
}

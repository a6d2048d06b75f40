/**
 * Who may have a connection of HTTP/1.1 to a backend, each of which is an open file and has one request at a time. A
 * connection of a client may always have one. What one of HTTP/2 asks for beyond that is out of a common stock, of which each
 * may hold as much as is left for others: the first up to a half.
 *
 * So there are never more than one for each connection of a client, and the stock, whatever strangers ask for, and none of
 * them keeps another from its one.
 */
import { FairQueue } from './fair-queue.ts';
import { Holdings } from './holdings.ts';

/** What has a connection, and tells when it has it no more. */
interface Holder {
  once(event: 'close', listener: () => void): unknown;
}

/** A request that waits for a connection. */
export interface WaitingForPlace {
  /** @throws Error for a request that cannot be sent */
  start(): Holder;
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
    try {
      const holder = waiting.start();
      if (this.#held.of(owner) > 0) this.#free -= 1;
      this.#held.take(owner);
      holder.once('close', () => this.#giveBack(owner));
    } catch (error) {
      waiting.fail(error as Error);
    }
  }

  #giveBack(owner: object): void {
    this.#held.giveBack(owner);
    if (this.#held.of(owner) > 0) this.#free += 1;
    for (;;) {
      const next = this.#queue.next((each) => this.#mayStart(each));
      if (next === undefined) return;
      this.#start(next.owner, next.item);
    }
  }
}

/** Turns for each place where operations take long: threads of this process, a token, an agent. */
import { signingDepth } from '../engine/signing-threads.ts';
import type { Workplace } from './key-store.ts';
import { type Asker, Turns, type Unbegun } from './turns.ts';

/** Of this process: see pem-key.ts. */
export const SIGNING_THREADS: Workplace = { atOnce: signingDepth };

/** Stores are written by others: where one does not say how many it takes, it takes one. */
function limitOf({ atOnce }: Workplace): () => number {
  return () => {
    try {
      return atOnce();
    } catch {
      return 1;
    }
  };
}

export class Workplaces {
  readonly #maxWaiting: number;
  readonly #turns = new Map<Workplace, Turns>();
  #ended = false;

  /** @param maxWaiting operations that wait at each, of all clients */
  constructor(maxWaiting: number) {
    this.#maxWaiting = maxWaiting;
  }

  /** Operations that wait for their turn. */
  get waiting(): number {
    let waiting = 0;
    for (const turns of this.#turns.values()) waiting += turns.waiting;
    return waiting;
  }

  /**
   * @param waitedMs how long the asker has waited by now
   * @returns what the work does, or why it never began
   */
  run<T>(
    workplace: Workplace,
    asker: Asker & { waitedMs(): number },
    work: () => T | Promise<T>,
  ): T | NotDone | Promise<T | NotDone> {
    const { patienceMs = Number.POSITIVE_INFINITY } = workplace;
    const inTime = () => (asker.waitedMs() < patienceMs ? work() : 'store-unavailable');
    return this.#at(workplace).run<T | NotDone>(asker, inTime);
  }

  /** As {@link Turns.end}, everywhere. */
  end(): void {
    this.#ended = true;
    for (const turns of this.#turns.values()) turns.end();
  }

  #at(workplace: Workplace): Turns {
    let turns = this.#turns.get(workplace);
    if (turns === undefined) {
      turns = new Turns(limitOf(workplace), this.#maxWaiting);
      this.#turns.set(workplace, turns);
      if (this.#ended) turns.end();
    }
    return turns;
  }
}

type NotDone = Unbegun | 'store-unavailable';

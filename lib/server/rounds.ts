/**
 * The order of a turn of the event loop: first the answers that are ready leave, then each client that has more to be done
 * gets its turn, whatever it sent and over how many connections. Between two rounds the loop looks at sockets and timers:
 * no flood puts off what another client sends, or a change of the policy, for longer than a round takes.
 */

import { type ServerAnswers, serverAnswers } from './channels.ts';

/** Requests in a round, of all clients: 2 ms of ECDSA. Many together cost less each, in system calls above all. */
const ROUND_SIZE = 64;
const MIN_TURN_SIZE = 16;
const ANSWERS: ServerAnswers = {};

/** Something to send at the end of the turn. */
export interface Flushed {
  flush(): void;
}

/** Somebody who is to have a turn. */
export interface TakingTurns {
  turn(): void;
}

export class Rounds {
  #number = 0;
  #turnSize = ROUND_SIZE;
  #scheduled = false;
  #ready: Flushed[] = [];
  #next = new Set<TakingTurns>();

  /** Of the round that is on: what has been taken since it began counts against the client's turn in it. */
  get number(): number {
    return this.#number;
  }

  /** Requests that a client may have taken in the round that is on. */
  get turnSize(): number {
    return this.#turnSize;
  }

  /** The round that is on ends with this turn of the loop. */
  schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.#run());
  }

  /** @param flushed to be flushed once in the next round */
  addFlush(flushed: Flushed): void {
    this.#ready.push(flushed);
    this.schedule();
  }

  /** @param client gets one turn in the next round, however often it was added */
  addTurn(client: TakingTurns): void {
    this.#next.add(client);
    this.schedule();
  }

  #run(): void {
    this.#scheduled = false;
    this.#number += 1;
    const [ready, clients] = [this.#ready, this.#next];
    this.#ready = [];
    this.#next = new Set();
    this.#turnSize = Math.max(MIN_TURN_SIZE, Math.floor(ROUND_SIZE / Math.max(1, clients.size)));
    if (ready.length > 0 && serverAnswers.hasSubscribers) serverAnswers.publish(ANSWERS);
    for (const each of ready) each.flush();
    for (const each of clients) each.turn();
  }
}

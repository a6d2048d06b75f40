/** The ticket keys of a lease at a given time: which one issues, which ones are accepted, when that changes. */
import type { TicketKeySet } from '../protocol/ticket-keys.ts';

/** Secret. */
export interface LeasedKey {
  readonly epoch: number;
  /** 48 bytes. */
  readonly key: Buffer;
}

export interface RingView {
  /** The first issues, all are accepted. */
  readonly keys: readonly LeasedKey[];
  /** Milliseconds on the clock at which the view is another one. */
  readonly until: number;
}

/** Owner: the lease. Time comes in as milliseconds on the edge's own clock. */
export class TicketRing {
  readonly #set: TicketKeySet;
  readonly #since: number;
  /** The end of the lease. */
  readonly endsAt: number;

  /** @param since when the keys were asked for: the answer is no older */
  constructor(set: TicketKeySet, since: number) {
    this.#set = set;
    this.#since = since;
    this.endsAt = since + set.periodMs;
  }

  get periodMs(): number {
    return this.#set.periodMs;
  }

  /** @returns `undefined`: the lease has ended */
  at(now: number): RingView | undefined {
    if (now >= this.endsAt) return undefined;
    const { remainingMs, epoch, keys } = this.#set;
    const [next, current, previous, oldest] = keys;
    const changesAt = this.#since + remainingMs;
    const leased = (offset: number, key: Buffer) => ({ epoch: epoch + offset, key });
    // A lease is one period, so it reaches into the next epoch and never beyond.
    if (now >= changesAt) {
      return { keys: [leased(1, next), leased(0, current), leased(-1, previous)], until: this.endsAt };
    }
    return {
      // Where another key server's clock is ahead, edges issue under the next key already.
      keys: [leased(0, current), leased(1, next), leased(-1, previous), leased(-2, oldest)],
      until: Math.min(changesAt, this.endsAt),
    };
  }

  /** Nothing of it is used any more. */
  wipe(): void {
    for (const key of this.#set.keys) key.fill(0);
  }
}

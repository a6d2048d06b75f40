/**
 * The key servers an edge may ask: one connection to each, the one with the least to do is asked.
 *
 * Where none is ready, a request waits while one is being connected or was lost just now, and fails at once when all
 * attempts have failed.
 */
import type { Clock } from '../clock.ts';
import { KeylessError } from '../errors.ts';
import type { BackOffSettings } from './back-off.ts';
import type { ConnectionSettings } from './connection.ts';
import { Errand, type ErrandRequest, type ErrandResult } from './errand.ts';
import { closedError, noKeyServer } from './errors.ts';
import { Link, type ServerStats } from './link.ts';
import type { ServerAddress } from './server-address.ts';

export interface SetStats {
  readonly servers: readonly ServerStats[];
  /** Requests that wait for a connection. */
  readonly waiting: number;
  readonly succeeded: number;
  readonly failed: number;
  /** Requests sent again because their connection died. */
  readonly retried: number;
}

export type SetSettings = Omit<ConnectionSettings, 'address'> & {
  readonly addresses: readonly ServerAddress[];
  readonly backOff: BackOffSettings;
};

/** Somebody who waits for a first connection. */
type Waiter = (error: KeylessError | undefined) => void;

export class KeyServerSet {
  readonly #links: readonly Link[];
  readonly #clock: Clock;
  readonly #parked = new Set<Errand>();
  readonly #waiters = new Set<Waiter>();
  #turn = 0;
  #succeeded = 0;
  #failed = 0;
  #retried = 0;
  #closed = false;

  constructor(settings: SetSettings) {
    this.#clock = settings.clock;
    this.#links = settings.addresses.map(
      (address) => new Link({ ...settings, address }, settings.backOff, () => this.#onChange()),
    );
  }

  /** @param onSettled is called once, perhaps before this returns */
  request(request: ErrandRequest, onSettled: (result: ErrandResult) => void): void {
    const errand = new Errand(
      request,
      this.#clock,
      (again) => this.#dispatch(again),
      (result) => {
        this.#count(errand, result);
        onSettled(result);
      },
    );
    errand.watchSignal();
    this.#dispatch(errand);
  }

  /** @param onReady is called once: with `undefined` when a key server is ready, with an error when none is to be had */
  whenReady(onReady: Waiter): void {
    this.#waiters.add(onReady);
    for (const link of this.#links) link.hurry();
    this.#onChange();
  }

  stats(): SetStats {
    return {
      servers: this.#links.map((link) => link.stats()),
      waiting: this.#parked.size,
      succeeded: this.#succeeded,
      failed: this.#failed,
      retried: this.#retried,
    };
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const link of this.#links) link.close();
    this.#onChange();
  }

  #dispatch(errand: Errand): void {
    if (errand.settled) return;
    if (this.#closed) {
      errand.settle(closedError());
      return;
    }
    const link = this.#leastBusy();
    if (link !== undefined) {
      errand.send(link.connection!, link.name);
      return;
    }
    for (const each of this.#links) each.hurry();
    if (this.#isPromising) this.#parked.add(errand);
    else errand.settle(this.#nobody());
  }

  get #isPromising(): boolean {
    return this.#links.some(({ promising }) => promising);
  }

  #leastBusy(): Link | undefined {
    const { length } = this.#links;
    this.#turn = (this.#turn + 1) % length;
    let best: Link | undefined;
    let least = Number.POSITIVE_INFINITY;
    for (let step = 0; step < length; step += 1) {
      const link = this.#links[(this.#turn + step) % length]!;
      const inFlight = link.connection?.inFlight;
      if (inFlight === undefined || inFlight >= least) continue;
      best = link;
      least = inFlight;
    }
    return best;
  }

  /** A link became ready or failed: whoever waited goes on, or learns that there is nobody. */
  #onChange(): void {
    const ready = this.#links.some(({ state }) => state === 'ready');
    if (!ready && !this.#closed && this.#isPromising) return;
    const parked = [...this.#parked];
    this.#parked.clear();
    for (const errand of parked) {
      if (ready || this.#closed) this.#dispatch(errand);
      else errand.settle(this.#nobody());
    }
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    for (const waiter of waiters) waiter(ready ? undefined : this.#nobody());
  }

  #nobody(): KeylessError {
    if (this.#closed) return closedError();
    return noKeyServer(this.#links.find(({ lastError }) => lastError !== undefined)?.lastError);
  }

  #count(errand: Errand, result: ErrandResult): void {
    this.#parked.delete(errand);
    if (errand.retried) this.#retried += 1;
    if (result instanceof KeylessError) this.#failed += 1;
    else this.#succeeded += 1;
  }
}

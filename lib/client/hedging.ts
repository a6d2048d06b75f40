/**
 * A second request elsewhere for operations that take longer than nearly all do, within a budget: at most one for every
 * twenty operations, so that slow key servers do not get twice the load when all are slow. Where one key server stands
 * still and another one answers, its operations need no budget, and wait no longer, however long nearly all took of late. Nor does
 * an operation that has waited for half of its time: a key server that loses some of its requests does not stand still.
 *
 * One timer for all operations, none for each: they wait in the order in which they were sent.
 */
import type { Alarm, Clock } from '../clock.ts';
import { STANDSTILL_MS } from './lane.ts';

export interface Hedgeable {
  readonly settled: boolean;
  /** One key server has been asked and may still answer, and another one may be asked, too. */
  readonly mayBeHedged: boolean;
  /** When the key server was asked that may still answer, milliseconds on the clock. */
  readonly sentAt: number;
  /** Milliseconds on the clock. */
  readonly deadline: number;
  /** The key server that was asked gives nobody an answer. */
  standsStill(now: number): boolean;
}

export interface HedgingSettings<T extends Hedgeable, Server> {
  readonly clock: Clock;
  /** Milliseconds after which a second request goes out now. */
  delayMs(): number;
  /**
   * @param mayBeLost it has waited for longer than what is merely slow takes
   * @returns whom else to ask; `undefined`: nobody
   */
  otherFor(operation: T, mayBeLost: boolean): Server | undefined;
  /** @returns whether it is likely to answer soon */
  answers(server: Server, now: number): boolean;
  hedge(operation: T, other: Server): void;
}

const PER_OPERATION = 0.05;
/** What is saved up for a bad moment. */
const MOST = 10;
/**
 * How often those are looked at again for whom there was no budget or nobody else, or whose second request may have come to
 * nothing; and how late it is noticed that second requests go out sooner now.
 */
const SECOND_LOOK_MS = 100;
/** What takes so many times as long as that after which a second request goes out is not merely slow. */
const LOST_AFTER_DELAYS = 4;
/** The settled ones at the head are let go of when there are so many. */
const COMPACT_AT = 1024;

/** Half of its time is gone, and not because it had little. */
function isAtRisk({ sentAt, deadline }: Hedgeable, now: number): boolean {
  const waitedMs = now - sentAt;
  return waitedMs > STANDSTILL_MS && waitedMs > deadline - now;
}

export class Hedging<T extends Hedgeable, Server> {
  readonly #settings: HedgingSettings<T, Server>;
  #queue: T[] = [];
  #head = 0;
  /** Those that have waited for so long: until they settle, as a second request may come to nothing. */
  #late: T[] = [];
  #budget = MOST;
  #alarm: Alarm | undefined;
  /** Second requests so far. */
  sent = 0;

  constructor(settings: HedgingSettings<T, Server>) {
    this.#settings = settings;
  }

  /** It was sent just now, for the first time. */
  watch(operation: T): void {
    this.#budget = Math.min(MOST, this.#budget + PER_OPERATION);
    this.#queue.push(operation);
    if (this.#alarm === undefined) this.#wait(this.#settings.delayMs());
  }

  stop(): void {
    this.#alarm?.cancel();
    this.#alarm = undefined;
    this.#queue = [];
    this.#head = 0;
    this.#late = [];
  }

  #wait(ms: number): void {
    this.#alarm = this.#settings.clock.after(Math.max(1, Math.ceil(Math.min(ms, SECOND_LOOK_MS))), () =>
      this.#look(),
    );
  }

  #look(): void {
    this.#alarm = undefined;
    const now = this.#settings.clock.now();
    const delayMs = this.#settings.delayMs();
    this.#late = this.#late.filter(({ settled }) => !settled);
    for (const operation of this.#late) this.#consider(operation, now, delayMs);
    while (this.#head < this.#queue.length) {
      const operation = this.#queue[this.#head]!;
      const waitMs = Math.min(delayMs, STANDSTILL_MS) - (now - operation.sentAt);
      if (!operation.settled && waitMs > 0) {
        this.#wait(waitMs);
        break;
      }
      this.#head += 1;
      if (operation.settled) continue;
      this.#consider(operation, now, delayMs);
      this.#late.push(operation);
    }
    this.#compact();
    if (this.#alarm === undefined && this.#late.length > 0) this.#wait(SECOND_LOOK_MS);
  }

  #consider(operation: T, now: number, delayMs: number): void {
    if (operation.settled || !operation.mayBeHedged) return;
    // Its first attempt may have failed: it was sent again in its turn, and has as long as any.
    const waitedMs = now - operation.sentAt;
    if (waitedMs < Math.min(delayMs, STANDSTILL_MS)) return;
    const isUrgent = operation.standsStill(now) || isAtRisk(operation, now);
    const isPaid = waitedMs >= delayMs && this.#budget >= 1;
    if (!isUrgent && !isPaid) return;
    const mayBeLost = isUrgent || waitedMs > Math.max(STANDSTILL_MS, LOST_AFTER_DELAYS * delayMs);
    const other = this.#settings.otherFor(operation, mayBeLost);
    if (other === undefined) return;
    const isFree = isUrgent && this.#settings.answers(other, now);
    if (!isFree && !isPaid) return;
    this.#settings.hedge(operation, other);
    this.sent += 1;
    if (!isFree) this.#budget -= 1;
  }

  #compact(): void {
    if (this.#head < this.#queue.length && this.#head < COMPACT_AT) return;
    this.#queue = this.#queue.slice(this.#head);
    this.#head = 0;
  }
}

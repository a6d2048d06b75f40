/**
 * An edge's choice between key servers, and its second requests, on a clock of its own: thousands of operations in no time, the
 * same in each run. There are no connections and no breakers: choice and second requests alone have to do.
 */
import { choose, chooseOther, type TriedCandidate } from '../../lib/client/choice.ts';
import { hedgeDelayMs, type Timed } from '../../lib/client/hedge-delay.ts';
import { type Hedgeable, Hedging } from '../../lib/client/hedging.ts';
import { Lane } from '../../lib/client/lane.ts';
import { ManualClock } from './manual-clock.ts';

const LANE = 'quick';

/** How a key server does: one operation after the other is worked on, and its answer is on its way for so long. */
export interface Manner {
  readonly workMs: number;
  readonly awayMs: number;
}

export interface Load {
  readonly perSecond: number;
  readonly seconds: number;
}

class SimulatedServer implements TriedCandidate, Timed {
  readonly lane = new Lane();
  readonly #manner: Manner;
  #freeAt = 0;
  asked = 0;

  constructor(manner: Manner) {
    this.#manner = manner;
  }

  cost(_lane: string, now: number): number {
    return this.lane.cost(now);
  }

  admits(): boolean {
    return this.lane.hasRoom;
  }

  isKnownToAnswer(_lane: string, now: number): boolean {
    return this.lane.isKnownToAnswer(now);
  }

  p95Ms(_lane: string, now: number): number | undefined {
    return this.lane.p95Ms(now);
  }

  averageMs(_lane: string, now: number): number {
    return this.lane.averageMs(now);
  }

  /** @returns milliseconds until its answer is there */
  ask(now: number): number {
    this.asked += 1;
    this.lane.begin(now);
    this.#freeAt = Math.max(this.#freeAt, now) + this.#manner.workMs;
    return this.#freeAt + this.#manner.awayMs - now;
  }
}

class SimulatedOperation implements Hedgeable {
  readonly startedAt: number;
  /** Whom it waits for, and since when. */
  readonly attempts = new Map<SimulatedServer, number>();
  readonly deadline = Number.POSITIVE_INFINITY;
  sentAt = 0;
  settled = false;

  constructor(startedAt: number) {
    this.startedAt = startedAt;
  }

  get mayBeHedged(): boolean {
    return this.attempts.size === 1;
  }

  standsStill(now: number): boolean {
    const [first] = this.attempts.keys();
    return first?.lane.standsStill(now) === true;
  }
}

export class SimulatedFleet {
  readonly #clock = new ManualClock();
  readonly #servers: readonly SimulatedServer[];
  readonly #hedging: Hedging<SimulatedOperation, SimulatedServer>;
  readonly #waiting: SimulatedOperation[] = [];
  /** What clients waited, milliseconds, in the order of the answers. */
  readonly #tookMs: number[] = [];
  #random = 1;

  constructor(manners: readonly Manner[]) {
    this.#servers = manners.map((manner) => new SimulatedServer(manner));
    this.#hedging = new Hedging({
      clock: this.#clock,
      delayMs: () => hedgeDelayMs(this.#servers, LANE, this.#clock.now()),
      otherFor: ({ attempts }) => this.#choose(chooseOther, [...attempts.keys()]),
      answers: ({ lane }, now) => lane.answers(now),
      hedge: (operation, other) => this.#ask(operation, other),
    });
  }

  get hedged(): number {
    return this.#hedging.sent;
  }

  /** How often each was asked. */
  get asked(): readonly number[] {
    return this.#servers.map(({ asked }) => asked);
  }

  /** Operations at even distances, all of which are answered. @returns what clients waited, milliseconds, the longest last */
  run({ perSecond, seconds }: Load): readonly number[] {
    const operations = perSecond * seconds;
    const begin = (left: number) => {
      if (left === 0) return;
      this.#clock.after(1000 / perSecond, () => begin(left - 1));
      this.#send(new SimulatedOperation(this.#clock.now()));
    };
    this.#tookMs.length = 0;
    begin(operations);
    while (this.#tookMs.length < operations) this.#clock.advance(1000);
    return [...this.#tookMs].sort((one, other) => one - other);
  }

  #choose(by: typeof chooseOther, avoid: readonly SimulatedServer[]): SimulatedServer | undefined {
    return by(this.#servers, avoid, LANE, this.#clock.now(), () => this.#nextRandom());
  }

  /** Park and Miller, Random Number Generators: Good Ones Are Hard to Find. */
  #nextRandom(): number {
    this.#random = (this.#random * 48_271) % 0x7fff_ffff;
    return this.#random / 0x7fff_ffff;
  }

  #send(operation: SimulatedOperation): void {
    const server = this.#choose(choose, []);
    if (server === undefined) {
      this.#waiting.push(operation);
      return;
    }
    this.#ask(operation, server);
    this.#hedging.watch(operation);
  }

  #ask(operation: SimulatedOperation, server: SimulatedServer): void {
    const now = this.#clock.now();
    if (operation.attempts.size === 0) operation.sentAt = now;
    operation.attempts.set(server, now);
    this.#clock.after(server.ask(now), () => this.#answer(operation, server, now));
  }

  #answer(operation: SimulatedOperation, { lane }: SimulatedServer, sentAt: number): void {
    const now = this.#clock.now();
    if (operation.settled) lane.answerLate(now - sentAt, now);
    else this.#settle(operation, lane, now);
    const next = this.#waiting.shift();
    if (next !== undefined) this.#send(next);
  }

  #settle(operation: SimulatedOperation, answered: Lane, now: number): void {
    operation.settled = true;
    this.#tookMs.push(now - operation.startedAt);
    for (const [{ lane }, sentAt] of operation.attempts) {
      if (lane === answered) lane.succeed(now - sentAt, now);
      else lane.abandon(now - sentAt, now);
    }
  }
}

/**
 * Whom a request goes to: of the key servers that are there, those of the best priority, unless they are known to fail at it;
 * and who else, when that comes to nothing or takes long.
 */
import type { Clock } from '../clock.ts';
import { choose, chooseOther } from './choice.ts';
import type { Errand } from './errand.ts';
import { hedgeDelayMs } from './hedge-delay.ts';
import type { KnownServer } from './known-server.ts';
import type { LaneName } from './lane.ts';

const NOBODY: readonly KnownServer[] = [];

/** One every few minutes, and a flood would end resumption for want of it. */
export function isUrgent({ request }: Errand): boolean {
  return request.kind === 'ticket-keys';
}

function ofBestPriority(servers: readonly KnownServer[]): readonly KnownServer[] {
  const best = Math.min(...servers.map(({ priority }) => priority));
  return servers.filter(({ priority }) => priority === best);
}

/** Owner: the set whose key servers they are; told by {@link update} of each that became ready or failed, is trusted or not. */
export class Selection {
  readonly #clock: Clock;
  readonly #random: () => number;
  #servers: readonly KnownServer[] = NOBODY;
  /** Ready, and trusted. */
  #trusted: readonly KnownServer[] = NOBODY;
  /** Those to choose from: of these, the ones of the best priority. */
  #usable: readonly KnownServer[] = NOBODY;

  /** @param random 0 to 1, as Math.random */
  constructor(clock: Clock, random: () => number) {
    this.#clock = clock;
    this.#random = random;
  }

  update(servers: readonly KnownServer[]): void {
    this.#servers = servers;
    this.#trusted = servers.filter((server) => server.ready && server.trusted);
    this.#usable = ofBestPriority(this.#trusted);
  }

  /** @returns one that is not to be avoided and has room; if none of them is sound, any: better than nobody */
  pick(errand: Errand): KnownServer | undefined {
    const now = this.#clock.now();
    const avoid = this.#unfit(errand, now);
    const { lane } = errand.request;
    const chosen = choose(this.#usable, avoid, lane, now, this.#random);
    if (chosen !== undefined) return chosen;
    return this.#cheapest(this.#others(avoid), errand, now);
  }

  /** @returns of these the cheapest that has room, and is trusted where any of them is sound */
  #cheapest(servers: readonly KnownServer[], errand: Errand, now: number): KnownServer | undefined {
    const { lane } = errand.request;
    const isAnySound = servers.some(({ sound }) => sound);
    let best: KnownServer | undefined;
    for (const server of servers) {
      const isFit = isUrgent(errand) || (isAnySound ? server.admits(lane) : server.hasRoom(lane));
      if (isFit && (best === undefined || server.cost(lane, now) < best.cost(lane, now))) best = server;
    }
    return best;
  }

  /**
   * @param mayBeLost it is not merely slow, as far as can be known: whoever does not answer it is as good as not there
   * @returns whom to ask, too; only then of a worse priority, and only where nobody else is whoever is left alone
   */
  otherFor(errand: Errand, mayBeLost: boolean): KnownServer | undefined {
    const now = this.#clock.now();
    const { lane } = errand.request;
    if (mayBeLost && this.#trusted.some((each) => !errand.isAsking(each))) this.forgive(errand);
    const never = this.#servers.filter((each) => errand.isAsking(each) || !errand.mayBeHedgedAt(each));
    const avoid = [...this.#unfit(errand, now), ...never];
    let left = this.#trusted;
    let other: KnownServer | undefined;
    while (left.length > 0) {
      const equals = ofBestPriority(left);
      const chosen = chooseOther(equals, avoid, lane, now, this.#random);
      if (chosen?.standsStill(lane, now) === false) return chosen;
      other ??= chosen;
      if (!mayBeLost) break;
      left = left.filter((server) => !equals.includes(server));
    }
    return other ?? (mayBeLost ? this.#cheapest(this.#others(avoid), errand, now) : undefined);
  }

  /** @returns milliseconds after which somebody else is asked, too */
  delayMs(lane: LaneName): number {
    return hedgeDelayMs(this.#usable, lane, this.#clock.now());
  }

  /** @returns where the request may go, in a word: see {@link RoomSettings} */
  destinationOf(errand: Errand): string {
    const unfit = this.#unfit(errand, this.#clock.now());
    const { lane } = errand.request;
    if (unfit.length === 0) return lane;
    return `${lane} ${this.#servers.map((server) => (unfit.includes(server) ? 0 : 1)).join('')}`;
  }

  /** @returns whether somebody else is there than these */
  hasOthers(servers: readonly KnownServer[]): boolean {
    return this.#others(servers).length > 0;
  }

  /** @returns whether somebody is there who has a connection that is good for it */
  isPossible(errand: Errand): boolean {
    return this.hasOthers(this.#impossible(errand));
  }

  /** @returns whether somebody may be there soon who fits */
  isReturning(fits: (server: KnownServer) => boolean): boolean {
    const now = this.#clock.now();
    return this.#servers.some((server) => fits(server) && server.isReturning(now));
  }

  /** What failed somewhere is asked there again, rather than waiting for others of which none is there and does well. */
  forgive(errand: Errand): void {
    if (!errand.isChoosy || errand.awaitsReturn) return;
    const others = this.#others(this.#impossible(errand));
    if (!others.some((server) => server.sound && !errand.isAsking(server))) errand.forgive();
  }

  /** Those that it cannot be sent to, and, unless nobody else is there, those that are known not to do it. */
  #unfit(errand: Errand, now: number): readonly KnownServer[] {
    const unfit = this.#impossible(errand);
    const { functionFor } = errand.request;
    if (functionFor === undefined && this.#servers.every(({ refusals }) => refusals.isEmpty)) return unfit;
    const doNot = this.#servers.filter(
      (server) => server.refusals.has(errand.subject, now) || !server.offers(functionFor),
    );
    return this.hasOthers([...unfit, ...doNot]) ? [...unfit, ...doNot] : unfit;
  }

  /** Those without a connection that is good for it. */
  #impossible(errand: Errand): readonly KnownServer[] {
    if (!errand.isChoosy) return NOBODY;
    return this.#servers.filter((server) => errand.connectionAt(server) === undefined);
  }

  #others(avoid: readonly KnownServer[]): readonly KnownServer[] {
    return this.#servers.filter((server) => server.ready && !avoid.includes(server));
  }
}

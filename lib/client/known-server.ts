/** One key server: several connections to it, how well it does, and whether it is asked at all. */
import type tls from 'node:tls';
import type { Clock } from '../clock.ts';
import { KeylessError, type KeylessErrorCode } from '../errors.ts';
import { type Patience, patience } from '../patience.ts';
import { pingRequest } from '../protocol/request-encoder.ts';
import type { BackOffSettings } from './back-off.ts';
import { Breaker, type BreakerState } from './breaker.ts';
import { clientBreaker } from './channels.ts';
import type { TriedCandidate } from './choice.ts';
import type { Connection, ConnectionSettings, Profile } from './connection.ts';
import type { ErrandRequest } from './errand-request.ts';
import { Lane, type LaneName } from './lane.ts';
import { Latency } from './latency.ts';
import { Link } from './link.ts';
import { Refusals } from './refusals.ts';
import type { ServerAddress } from './server-address.ts';
import type { ServerStats } from './server-stats.ts';

export type ServerSettings = ConnectionSettings & {
  /** 1 to 64. */
  readonly connectionsPerServer: number;
  readonly backOff: BackOffSettings;
};

/** Up to so many requests, one connection takes all: they leave in one write. Beyond, the next one shares. */
const SHARE_FROM = 32;
/** More than any connection has under way: one that stands still comes after all that have room and do not. */
const STANDING_STILL = 2 ** 31;
const WITHOUT_ROOM = 2 ** 32;
/** A key server that is restarted is there again within it. */
const RESTART_MS = 10_000;
/** How long the signatures of one that has signed wrongly are checked before use, whatever their kind. */
const SUSPECT_MS = 600_000;

export interface ServerEvents {
  /** It became ready or failed, is trusted or not. */
  onChange(): void;
  /** It may have room again. */
  onAnswers(): void;
}

export class KnownServer implements TriedCandidate {
  readonly #links: readonly Link[];
  readonly #clock: Clock;
  readonly #latency = new Latency();
  readonly #breaker: Breaker;
  readonly #events: ServerEvents;
  #settings: ServerSettings;
  readonly #lanes: Readonly<Record<LaneName, Lane>> = { slow: new Lane(), quick: new Lane() };
  #answered = 0;
  readonly #errors: Partial<Record<KeylessErrorCode, number>> = {};
  hedges = 0;
  readonly refusals = new Refusals();
  #wasReady = false;
  #suspectUntil = Number.NEGATIVE_INFINITY;
  #lostAt = Number.NEGATIVE_INFINITY;
  /** Lower ones are asked first, others only when none of them is there (RFC 2782). */
  readonly priority: number;

  constructor(settings: ServerSettings, events: ServerEvents) {
    this.#settings = settings;
    this.#clock = settings.clock;
    this.#events = events;
    this.priority = settings.address.priority ?? 0;
    this.#breaker = new Breaker(settings.clock, settings.backOff.random, {
      probe: (onAnswer) => this.#probe(onAnswer),
      onChange: (state) => this.#onBreaker(state),
    });
    const links: Link[] = [];
    this.#links = links;
    for (let at = 0; at < settings.connectionsPerServer; at += 1) {
      links.push(
        new Link(() => this.#settings, settings.backOff, {
          onChange: () => this.#onLinkChange(),
          onAnswers: events.onAnswers,
          mayConnect: () => at === 0 || links.some(({ isCurrent }) => isCurrent),
        }),
      );
    }
  }

  get address(): ServerAddress {
    return this.#settings.address;
  }

  get name(): string {
    return this.#settings.address.name;
  }

  get ready(): boolean {
    return this.#links.some(({ state }) => state === 'ready');
  }

  /** Spares wait for the first: they promise nothing. */
  get promising(): boolean {
    return this.#links[0]!.promising;
  }

  /** It has connections, also such as only answers are awaited on. */
  get isOpen(): boolean {
    return this.#links.some(({ isOpen }) => isOpen);
  }

  get hopeless(): boolean {
    return this.#links[0]!.hopeless;
  }

  /** It is not there, and may be soon: it was there a moment ago, or has never been tried before. */
  isReturning(now: number): boolean {
    const [link] = this.#links;
    const isTriedFirst = link!.failures === 0 && link!.promising;
    return !this.ready && !this.hopeless && (isTriedFirst || now - this.#lostAt < RESTART_MS);
  }

  /** @param functionFor see {@link ErrandRequest}; @returns whether it says that it has it; not connected, it may */
  offers(functionFor: ErrandRequest['functionFor']): boolean {
    if (functionFor === undefined) return true;
    const connection = this.#known?.connection;
    const name = connection && functionFor(connection.profile);
    return name === undefined || connection?.capabilities?.functions.includes(name) === true;
  }

  /** `undefined`: it is not connected. */
  get profile(): Profile | undefined {
    return this.#known?.connection?.profile;
  }

  get lastError(): KeylessError | undefined {
    return this.ready ? undefined : this.#links[0]!.lastError;
  }

  /** It is not left alone. */
  get trusted(): boolean {
    return this.#breaker.state !== 'open';
  }

  /** It is neither left alone nor being tried. */
  get sound(): boolean {
    return this.#breaker.state === 'closed';
  }

  /** Operations that wait for its answer. */
  get outstanding(): number {
    return this.#lanes.slow.outstanding + this.#lanes.quick.outstanding;
  }

  /** It can be asked without making it, or the way to it, overflow. */
  hasRoom(lane: LaneName): boolean {
    if (!this.#lanes[lane].hasRoom) return false;
    for (const { connection } of this.#links) if (connection?.hasRoom(lane) === true) return true;
    return false;
  }

  admits(lane: LaneName): boolean {
    if (!this.hasRoom(lane)) return false;
    const { state } = this.#breaker;
    return state === 'closed' || (state === 'half-open' && this.outstanding === 0);
  }

  cost(lane: LaneName, now: number): number {
    return this.#lanes[lane].cost(now);
  }

  /** Operations of the kind wait, and none is answered. */
  standsStill(lane: LaneName, now: number): boolean {
    return this.#lanes[lane].standsStill(now);
  }

  /** Operations of the kind are likely to be answered soon. */
  answers(lane: LaneName, now: number): boolean {
    return this.#lanes[lane].answers(now);
  }

  /** The same, and it has answered such ones before. */
  isKnownToAnswer(lane: LaneName, now: number): boolean {
    return this.#lanes[lane].isKnownToAnswer(now);
  }

  /** What nearly all answers of the kind keep to; `undefined`: too few came to say. */
  p95Ms(lane: LaneName, now: number): number | undefined {
    return this.#lanes[lane].p95Ms(now);
  }

  averageMs(lane: LaneName, now: number): number {
    return this.#lanes[lane].averageMs(now);
  }

  /**
   * The connection for the next request; `undefined`: it is not ready.
   *
   * @param since it must have been made, or been proven to be there, since then, milliseconds on the clock
   */
  connectionFor(lane: LaneName, since: number): Connection | undefined {
    const now = this.#clock.now();
    let best: Connection | undefined;
    let least = Number.POSITIVE_INFINITY;
    for (const link of this.#links) {
      if (!link.isProvenSince(since)) continue;
      const connection = link.connection!;
      let load = connection.inFlight;
      if (!connection.hasRoom(lane)) load += WITHOUT_ROOM;
      if (connection.standsStill(now)) load += STANDING_STILL;
      if (load < SHARE_FROM) return connection;
      if (load >= least) continue;
      best = connection;
      least = load;
    }
    return best;
  }

  /** Asks those of its connections that have not shown since that they are there. @param since milliseconds on the clock */
  prove(since: number): void {
    for (const link of this.#links) if (!link.isProvenSince(since)) link.connection?.prove();
  }

  /** A request goes out. */
  begin(lane: LaneName, now: number): void {
    this.#lanes[lane].begin(now);
  }

  /** A result came. */
  succeed(lane: LaneName, ms: number, now: number): void {
    this.#lanes[lane].succeed(ms, now);
    this.#answered += 1;
    this.#latency.record(ms, now);
    this.#breaker.onSuccess();
  }

  /**
   * An error came, or none will.
   *
   * @param blamed whether the key server is at fault, rather than what it was asked
   * @param ms since it was asked
   */
  fail(lane: LaneName, code: KeylessErrorCode, blamed: boolean, ms: number, now: number): void {
    // It took at least so long: whoever never answers is not the one that is quickest.
    if (code !== 'ERR_KEYLESS_TIMEOUT') this.#lanes[lane].fail(now);
    else if (this.#lanes[lane].abandon(ms, now)) this.#latency.record(ms, now);
    this.#note(code, blamed);
  }

  /**
   * Nobody waits for the answer any more, which takes at least so long.
   *
   * @param isOutrun another key server has answered: if this one stood still, that is a failure, though no client's
   */
  abandon(lane: LaneName, ms: number, now: number, isOutrun: boolean): void {
    const isFailure = isOutrun && this.standsStill(lane, now);
    this.#lanes[lane].abandon(ms, now);
    if (isFailure) this.#breaker.onFailure();
  }

  /**
   * It answered what nobody waited for any more: whoever is farther away than others, and outrun by them, is there all the same.
   *
   * @param ms since it was asked
   * @param isInTime somebody might have waited for it
   */
  answerLate(lane: LaneName, ms: number, isInTime: boolean, now: number): void {
    this.#lanes[lane].answerLate(ms, now);
    this.#latency.record(ms, now);
    if (isInTime && this.#breaker.state === 'half-open') this.#breaker.onSuccess();
  }

  /** What it answered with cannot be used: it is not asked the same first, and what else it answers is looked at. */
  takeBack(code: KeylessErrorCode, subject: string): void {
    const now = this.#clock.now();
    this.#suspectUntil = now + SUSPECT_MS;
    this.refusals.note(subject, now);
    this.#errors[code] = (this.#errors[code] ?? 0) + 1;
    this.#breaker.onTakenBack();
  }

  get isSuspect(): boolean {
    return this.#clock.now() < this.#suspectUntil;
  }

  hurry(): void {
    for (const link of this.#links) link.hurry();
  }

  renew(secureContext: tls.SecureContext): void {
    this.#settings = { ...this.#settings, secureContext };
    for (const link of this.#links) link.renew();
  }

  stats(): ServerStats {
    const stray = this.#links.map(({ strayAnswers }) => strayAnswers);
    const known = this.#known;
    const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
    return {
      server: this.name,
      state: known?.state ?? this.#links[0]!.state,
      breaker: this.#breaker.state,
      breakerOpened: this.#breaker.opened,
      profile: this.profile,
      functions: known?.connection?.capabilities?.functions,
      clockSkewMs: known?.connection?.clockSkewMs,
      ready: this.#links.filter(({ state }) => state === 'ready').length,
      inFlight: this.outstanding,
      latencyMs: this.#percentiles(),
      answered: this.#answered,
      errors: { ...this.#errors },
      hedges: this.hedges,
      connections: sum(this.#links.map(({ connections }) => connections)),
      failures: sum(this.#links.map(({ failures }) => failures)),
      unanswered: sum(this.#links.map(({ unanswered }) => unanswered)),
      lateAnswers: sum(stray.map(({ late }) => late)),
      unknownAnswers: sum(stray.map(({ unknown }) => unknown)),
      lastError: this.#links.find(({ lastError }) => lastError !== undefined)?.lastError,
    };
  }

  /** It is not one of ours any more: what is under way is answered. */
  leave(): void {
    this.#breaker.stop();
    for (const link of this.#links) link.leave();
  }

  close(): void {
    this.#breaker.stop();
    for (const link of this.#links) link.close();
  }

  #percentiles(): ServerStats['latencyMs'] {
    this.#latency.forgetOld(this.#settings.clock.now());
    const of = (share: number) => this.#latency.percentileMs(share);
    const [p50, p95, p99] = [of(0.5), of(0.95), of(0.99)];
    return p50 === undefined ? undefined : { p50, p95: p95!, p99: p99! };
  }

  get #known(): Link | undefined {
    return this.#links.find(({ connection }) => connection !== undefined);
  }

  #note(code: KeylessErrorCode, blamed: boolean): void {
    this.#errors[code] = (this.#errors[code] ?? 0) + 1;
    if (blamed) this.#breaker.onFailure();
    else if (this.#breaker.state === 'half-open') this.#breaker.onSuccess();
  }

  #onLinkChange(): void {
    if (this.ready) {
      this.#breaker.onReachable();
      for (const link of this.#links) link.wake();
    } else if (this.#wasReady) this.#lostAt = this.#clock.now();
    this.#wasReady = this.ready;
    this.#events.onChange();
  }

  #onBreaker(state: BreakerState): void {
    if (clientBreaker.hasSubscribers) clientBreaker.publish({ server: this.name, state });
    this.#events.onChange();
  }

  #probe(onAnswer: (answered: boolean) => void): void {
    const connection = this.connectionFor('quick', Number.NEGATIVE_INFINITY);
    if (connection === undefined) {
      onAnswer(false);
      return;
    }
    let waiting: Patience | undefined;
    const id = connection.request(pingRequest(), (answer) => {
      waiting?.cancel();
      onAnswer(!(answer instanceof KeylessError));
    });
    waiting = patience(this.#clock, this.#settings.pingTimeoutMs, () => {
      connection.giveUp(id);
      onAnswer(false);
    });
  }
}

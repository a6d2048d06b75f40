/**
 * The key servers an edge may ask. The better one of two picked at random is; what it fails at is asked elsewhere, what it
 * takes long for is asked elsewhere too.
 *
 * Where none is there, requests wait, up to their deadlines, if one was there before or is being connected; otherwise they
 * fail at once.
 */
import type tls from 'node:tls';
import type { Clock } from '../clock.ts';
import { Deadlines } from '../deadlines.ts';
import { KeylessError, type KeylessErrorCode } from '../errors.ts';
import { clientHedge } from './channels.ts';
import { Errand, type ErrandResult, type OnSettled, type Surroundings } from './errand.ts';
import type { ErrandRequest } from './errand-request.ts';
import { closedError, lineFull, noKeyServer } from './errors.ts';
import { Hedging } from './hedging.ts';
import { KnownServer, type ServerSettings } from './known-server.ts';
import type { LaneName } from './lane.ts';
import { isUrgent, Selection } from './selection.ts';
import { distinctServers, isSameServer, type ServerAddress } from './server-address.ts';
import type { ServerStats } from './server-stats.ts';
import { Tally } from './tally.ts';
import { WaitingRoom } from './waiting-room.ts';

export interface SetStats {
  readonly servers: readonly ServerStats[];
  /** Requests that wait for a key server to be there, or to have room for them. */
  readonly waiting: number;
  readonly succeeded: number;
  readonly failed: number;
  /** Requests that nobody waited for any more, as of clients that left. */
  readonly cancelled: number;
  /** Requests sent again because their connection died, or a key server failed or refused them. */
  readonly retried: number;
  /** Requests sent to a second key server because the first took long. */
  readonly hedged: number;
  /** Requests that failed because too many waited. */
  readonly shed: number;
}

export type SetSettings = Omit<ServerSettings, 'address'> & {
  readonly addresses: readonly ServerAddress[];
  /** Requests that wait at most; 0 to 1,000,000. */
  readonly maxWaiting: number;
  /** What happens to requests before any key server was ever reached. */
  readonly startup: 'wait' | 'fail';
  /** No key server is there; called again and again. */
  onNobody?(): void;
};

/** Somebody who waits for a first connection. */
type Waiter = (error: KeylessError | undefined) => void;

const NOBODY: readonly KnownServer[] = [];

export class KeyServerSet {
  readonly #settings: SetSettings;
  readonly #clock: Clock;
  readonly #selection: Selection;
  readonly #room = new WaitingRoom<Errand>({
    destinationOf: (errand) => this.#selection.destinationOf(errand),
    send: (errand) => this.#sendWaiting(errand),
  });
  readonly #waiters = new Set<Waiter>();
  /** Each kind takes its own time, and has a budget of its own. */
  readonly #hedging: Readonly<Record<LaneName, Hedging<Errand, KnownServer>>>;
  readonly #surroundings: Surroundings;
  #servers: readonly KnownServer[] = NOBODY;
  /** Those that are ours no more, while answers of theirs are awaited. */
  #leaving: readonly KnownServer[] = NOBODY;
  #secureContext: tls.SecureContext;
  /** More may become known: `undefined`: they are; an error: why they could not be found yet. */
  #unresolved: 'not yet' | KeylessError | undefined;
  #wasReady = false;
  readonly #tally = new Tally();
  #closed = false;

  /** @param settings `addresses` may be empty where {@link update} will be called */
  constructor(settings: SetSettings) {
    this.#settings = settings;
    this.#clock = settings.clock;
    this.#selection = new Selection(settings.clock, settings.backOff.random);
    this.#secureContext = settings.secureContext;
    this.#unresolved = settings.addresses.length === 0 ? 'not yet' : undefined;
    this.#hedging = { slow: this.#hedgingOf('slow'), quick: this.#hedgingOf('quick') };
    this.#surroundings = {
      clock: settings.clock,
      deadlines: new Deadlines(settings.clock),
      events: {
        onFailed: (errand, error, lost) => this.#onFailed(errand, error, lost),
        whyNobody: (errand) => (this.#selection.isPossible(errand) ? undefined : this.#nobody()),
        hasOthers: (errand) => this.#selection.isPossible(errand),
        onSettled: (errand, result) => this.#count(errand, result),
      },
    };
    this.#servers = distinctServers(settings.addresses).map((address) => this.#open(address));
    this.#onChange();
  }

  /** @param onSettled is called once, perhaps before this returns */
  request(request: ErrandRequest, onSettled: OnSettled): void {
    const errand = new Errand(request, this.#surroundings, onSettled);
    if (this.#closed) {
      errand.settle(closedError());
      return;
    }
    errand.begin();
    this.#dispatch(errand);
  }

  /**
   * A result that was used, or was to be, is wrong.
   *
   * @param subject see `subjectOf`
   * @param isOver nobody else is asked for a right one
   */
  takeBack(server: KnownServer, subject: string, code: KeylessErrorCode, isOver: boolean): void {
    server.takeBack(code, subject);
    this.#tally.takeBack(isOver);
  }

  get isAnyThere(): boolean {
    return this.#servers.some(({ ready }) => ready);
  }

  /** @returns whether somebody else could be asked than these, now or as soon as it is there again */
  mayAskOthers(servers: readonly KnownServer[]): boolean {
    return (
      this.#selection.hasOthers(servers) || this.#selection.isReturning((server) => !servers.includes(server))
    );
  }

  /** @param onReady is called once: with `undefined` when a key server is ready, with an error when none is to be had */
  whenReady(onReady: Waiter): void {
    this.#waiters.add(onReady);
    this.#hurry();
    this.#onChange();
  }

  /** Other addresses: what is new is connected, what is gone finishes what is under way. */
  update(named: readonly ServerAddress[]): void {
    if (this.#closed) return;
    const addresses = distinctServers(named);
    this.#unresolved = undefined;
    const kept = this.#servers.filter(({ address }) => addresses.some((each) => isSameServer(each, address)));
    const gone = this.#servers.filter((server) => !kept.includes(server));
    const added = addresses.filter((each) => !kept.some(({ address }) => isSameServer(each, address)));
    this.#servers = [...kept, ...added.map((address) => this.#open(address))];
    for (const server of gone) server.leave();
    this.#leaving = [...this.#leaving, ...gone].filter(({ isOpen }) => isOpen);
    this.#onChange();
  }

  /** The addresses cannot be found. Those that are known stay. */
  updateFailed(error: KeylessError): void {
    if (this.#unresolved === undefined) return;
    this.#unresolved = error;
    this.#onChange();
  }

  /** For connections to come; those there are are replaced one by one, without a gap. */
  renew(secureContext: tls.SecureContext): void {
    this.#secureContext = secureContext;
    for (const server of this.#servers) server.renew(secureContext);
  }

  stats(): SetStats {
    return {
      servers: this.#servers.map((server) => server.stats()),
      waiting: this.#room.size,
      succeeded: this.#tally.succeeded,
      failed: this.#tally.failed,
      cancelled: this.#tally.cancelled,
      retried: this.#tally.retried,
      hedged: this.#hedging.slow.sent + this.#hedging.quick.sent,
      shed: this.#tally.shed,
    };
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const hedging of Object.values(this.#hedging)) hedging.stop();
    for (const server of [...this.#servers, ...this.#leaving]) server.close();
    this.#leaving = NOBODY;
    this.#onChange();
    this.#surroundings.deadlines.release();
  }

  #open(address: ServerAddress): KnownServer {
    const settings = { ...this.#settings, address, secureContext: this.#secureContext };
    return new KnownServer(settings, {
      onChange: () => this.#onChange(),
      onAnswers: () => this.#room.serve(this.#clock.now()),
    });
  }

  #dispatch(errand: Errand): void {
    if (errand.settled) return;
    const mustWait = this.#room.isBefore(errand) && !isUrgent(errand);
    const server = mustWait ? undefined : this.#selection.pick(errand);
    if (server !== undefined) this.#send(errand, server);
    else this.#park(errand);
  }

  #send(errand: Errand, server: KnownServer): void {
    // Also where there is no other one: it may come while this one does not answer.
    if (!errand.wasSent) this.#hedging[errand.request.lane].watch(errand);
    errand.send(server);
  }

  #park(errand: Errand): void {
    const isThere = this.isAnyThere;
    if (!isThere) this.#hurry();
    if (!isThere && !this.#mayWait) {
      errand.settle(this.#nobody());
      return;
    }
    this.#askWhoIsThere(errand);
    this.#room.add(errand);
    if (isThere) this.#room.serve(this.#clock.now());
    if (this.#room.size <= this.#settings.maxWaiting) return;
    this.#tally.shed += 1;
    this.#room.takeLast()!.settle(lineFull(this.#settings.maxWaiting, isThere));
  }

  #sendWaiting(errand: Errand): boolean {
    this.#selection.forgive(errand);
    const server = this.#selection.pick(errand);
    if (server !== undefined) this.#send(errand, server);
    else if (errand.awaitsReturn && !this.#isDoable(errand)) errand.fail();
    else this.#askWhoIsThere(errand);
    return server !== undefined || errand.settled;
  }

  /** Whoever of the key servers may be gone, and is not known to be, says so by an answer: the errand goes there then. */
  #askWhoIsThere({ provenSince }: Errand): void {
    if (provenSince === Number.NEGATIVE_INFINITY) return;
    for (const server of this.#servers) server.prove(provenSince);
  }

  #hurry(): void {
    for (const server of this.#servers) server.hurry();
  }

  /** All that are there answered it with an error, and another key server may do it, which is being restarted. */
  #mayBeDoneSoon(errand: Errand): boolean {
    return this.#selection.isReturning((server) => !errand.isRefusedBy(server));
  }

  #isDoable(errand: Errand): boolean {
    return this.#selection.isPossible(errand) || this.#mayBeDoneSoon(errand);
  }

  /** @returns whether it is asked again, elsewhere, or after a lost connection also there */
  #onFailed(errand: Errand, error: KeylessError, lost: boolean): boolean {
    if (this.#closed || error.code === 'ERR_KEYLESS_CLOSED') return false;
    if (!this.#selection.isPossible(errand)) {
      if (lost) errand.forgive();
      else if (this.#mayBeDoneSoon(errand)) errand.awaitReturn();
      else return false;
    }
    const other = this.#selection.pick(errand);
    // It has had its turn already.
    if (other !== undefined) this.#send(errand, other);
    else this.#park(errand);
    return true;
  }

  #hedgingOf(lane: LaneName): Hedging<Errand, KnownServer> {
    return new Hedging({
      clock: this.#clock,
      delayMs: () => this.#selection.delayMs(lane),
      otherFor: (errand, mayBeLost) => this.#otherFor(errand, mayBeLost),
      answers: (server, now) => server.answers(lane, now),
      hedge: (errand, other) => this.#hedge(errand, other),
    });
  }

  #otherFor(errand: Errand, mayBeLost: boolean): KnownServer | undefined {
    const other = this.#selection.otherFor(errand, mayBeLost);
    if (other === undefined) this.#askWhoIsThere(errand);
    return other;
  }

  #hedge(errand: Errand, other: KnownServer): void {
    const slow = errand.asked!;
    slow.hedges += 1;
    const waitedMs = this.#clock.now() - errand.sentAt;
    if (clientHedge.hasSubscribers) clientHedge.publish({ slow: slow.name, other: other.name, waitedMs });
    errand.send(other);
  }

  /** Whether somebody may become ready before the deadlines: connecting now, or there before and not refusing us. */
  get #mayWait(): boolean {
    if (this.#unresolved === 'not yet' || this.#servers.some(({ promising }) => promising)) return true;
    if (!this.#wasReady && this.#settings.startup === 'fail') return false;
    return this.#servers.length === 0 || this.#servers.some(({ hopeless }) => !hopeless);
  }

  /** A server became ready or failed: whoever waited goes on, or learns that there is nobody. */
  #onChange(): void {
    this.#selection.update(this.#servers);
    const isAnyThere = this.isAnyThere;
    if (isAnyThere) this.#wasReady = true;
    else if (!this.#closed) this.#settings.onNobody?.();
    if (!isAnyThere && !this.#closed && this.#mayWait) {
      this.#tellWaiters(false);
      return;
    }
    if (isAnyThere && !this.#closed) this.#room.serve(this.#clock.now());
    else while (this.#room.size > 0) this.#room.takeLast()!.settle(this.#nobody());
    this.#tellWaiters(isAnyThere);
  }

  #tellWaiters(ready: boolean): void {
    const isPatient = this.#settings.startup === 'wait' || this.#unresolved === 'not yet';
    const isPromising = isPatient || this.#servers.some(({ promising }) => promising);
    if (!ready && !this.#closed && isPromising) return;
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    for (const waiter of waiters) waiter(ready && !this.#closed ? undefined : this.#nobody());
  }

  #nobody(): KeylessError {
    if (this.#closed) return closedError();
    if (this.#unresolved instanceof KeylessError) return noKeyServer(this.#unresolved);
    const failed = this.#servers.filter(({ lastError }) => lastError !== undefined);
    // Who is merely not there may come back; what does not accept us, or we not it, somebody has to mend.
    return noKeyServer((failed.find(({ hopeless }) => hopeless) ?? failed[0])?.lastError);
  }

  #count(errand: Errand, result: ErrandResult): void {
    this.#room.remove(errand);
    this.#tally.count(result, errand.retried);
  }
}

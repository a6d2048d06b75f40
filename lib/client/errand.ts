/**
 * One request on its way through whatever key servers and connections it takes, until it is answered, given up or too
 * late.
 *
 * It settles once. It may be out twice at a time, at two key servers, and a connection that dies takes no request with it:
 * a key server knows what is sent again (docs/protocol.md, "Asking again").
 */
import type { Clock } from '../clock.ts';
import { type Deadlines, hasOverslept, type Timed } from '../deadlines.ts';
import { KeylessError } from '../errors.ts';
import type { Answer } from '../protocol/answers.ts';
import { waitItem } from '../protocol/request-encoder.ts';
import { type ClientOperation, clientOperation } from './channels.ts';
import type { Connection } from './connection.ts';
import type { CancelListener, ErrandRequest } from './errand-request.ts';
import { cancelledError, isFault, isRefusal, unanswered, waitedInVain, wireError } from './errors.ts';
import type { Hedgeable } from './hedging.ts';
import type { KnownServer } from './known-server.ts';
import { subjectOf } from './refusals.ts';
import type { Waiting } from './waiting-line.ts';

export type ErrandResult = Uint8Array | KeylessError;

export interface ErrandEvents {
  /**
   * One attempt came to nothing.
   *
   * @param lost its connection went, rather than that it was answered with an error
   * @returns whether another attempt is made, now or later
   */
  onFailed(errand: Errand, error: KeylessError, lost: boolean): boolean;
  /** @returns whether somebody else is there than those that it avoids */
  hasOthers(errand: Errand): boolean;
  /** @returns why no key server is there that it may go to; `undefined`: one is */
  whyNobody(errand: Errand): KeylessError | undefined;
  onSettled(errand: Errand, result: ErrandResult): void;
}

/** @param server who answered, or failed; `undefined`: nobody was asked */
export type OnSettled = (result: ErrandResult, server: KnownServer | undefined) => void;

/** The request as one key server has it. */
interface Attempt {
  readonly server: KnownServer;
  readonly connection: Connection;
  readonly sentAt: number;
  id: number;
}

/**
 * How often a request is sent when connections die under it, key servers fail or take long. Key servers that end together are
 * noticed connection by connection: one more attempt is made where somebody has shown since that he is there. No more: it may
 * be the request that they end by.
 */
const MOST_ATTEMPTS = 3;
/** A time-out after less was the operation's, which had little time left, and not the key server's. */
const BLAMED_FROM_MS = 1000;
const NOBODY: readonly KnownServer[] = [];
const ONCE = { once: true } as const;

/** What all requests share. */
export interface Surroundings {
  readonly clock: Clock;
  readonly deadlines: Deadlines<Errand>;
  readonly events: ErrandEvents;
}

/** Its members are `private` to TypeScript only: every operation makes one, and Node 20 is slow with `#` methods. */
export class Errand implements Hedgeable, Waiting, Timed, CancelListener {
  readonly request: ErrandRequest;
  private readonly clock: Clock;
  private readonly deadlines: Deadlines<Errand>;
  private readonly events: ErrandEvents;
  private readonly onSettled: OnSettled;
  readonly startedAt: number;
  private first: Attempt | undefined;
  private second: Attempt | undefined;
  /** Who was asked last. */
  private lastAsked: KnownServer | undefined;
  private attempts = 0;
  /** How often it may be sent in all, be it because an attempt failed or because one takes long. */
  private mostAttempts = MOST_ATTEMPTS;
  private firstError: KeylessError | undefined;
  /** Key servers that answered with an error which need not be that of others. */
  private refusedBy: readonly KnownServer[] = NOBODY;
  private ownSubject: string | undefined;
  /** Where it came to nothing: only connections made or proven since are good for it there, milliseconds on the clock. */
  private failedAt: Map<KnownServer, number> | undefined;
  /** Only connections that were made since, or have answered a ping sent since, are good for it anywhere. */
  provenSince = Number.NEGATIVE_INFINITY;
  /** It waits for a key server that is being restarted. */
  awaitsReturn = false;
  settled = false;
  /** Was sent again because it had to be; hedging does not count. */
  retried = false;

  /** @param onSettled is called once */
  constructor(request: ErrandRequest, surroundings: Surroundings, onSettled: OnSettled) {
    const { clock, deadlines, events } = surroundings;
    this.request = request;
    this.clock = clock;
    this.deadlines = deadlines;
    this.events = events;
    this.onSettled = onSettled;
    this.startedAt = clock.now();
  }

  get deadline(): number {
    return this.request.deadline;
  }

  get subject(): string {
    this.ownSubject ??= subjectOf(this.request.method, this.request.keyId);
    return this.ownSubject;
  }

  /** Settles at once if it is cancelled already. */
  begin(): void {
    const { signal } = this.request;
    // The connections do not keep the process alive; a request that somebody waits for does.
    this.deadlines.add(this);
    if (signal?.aborted === true) this.handleEvent();
    else signal?.addEventListener('abort', this, ONCE);
  }

  /** Not every connection to every key server is good for it. */
  get isChoosy(): boolean {
    return (
      this.failedAt !== undefined ||
      this.isRefused ||
      this.request.avoid !== undefined ||
      this.provenSince > Number.NEGATIVE_INFINITY
    );
  }

  /** It has been asked, and may still answer. */
  isAsking(server: KnownServer): boolean {
    return this.first?.server === server || this.second?.server === server;
  }

  /** @returns a connection to the key server that is good for it; `undefined`: there is none */
  connectionAt(server: KnownServer): Connection | undefined {
    if (this.isRefusedBy(server)) return undefined;
    const failedAt = this.failedAt?.get(server) ?? Number.NEGATIVE_INFINITY;
    return server.connectionFor(this.request.lane, Math.max(failedAt, this.provenSince));
  }

  /** Those that failed at it may be asked again; those that refused it would refuse it again. */
  forgive(): void {
    this.failedAt = undefined;
  }

  /** All that are there answered it with an error: of those that failed at it, whoever is restarted may be asked again. */
  awaitReturn(): void {
    this.awaitsReturn = true;
    const now = this.clock.now();
    for (const server of this.failedAt?.keys() ?? []) this.failedAt!.set(server, now);
  }

  mayBeHedgedAt({ profile }: KnownServer): boolean {
    const { hedgedAt } = this.request;
    return hedgedAt === undefined || hedgedAt === profile;
  }

  get mayBeHedged(): boolean {
    const { first, second } = this;
    if (first === undefined || second !== undefined || !this.mayBeSent) return false;
    return this.mayBeHedgedAt(first.server);
  }

  /** Who is asked and may still answer: of two, who was asked first. */
  get asked(): KnownServer | undefined {
    return this.first?.server;
  }

  get sentAt(): number {
    return this.first?.sentAt ?? 0;
  }

  get wasSent(): boolean {
    return this.attempts > 0;
  }

  private get mayBeSent(): boolean {
    return this.attempts < this.mostAttempts;
  }

  standsStill(now: number): boolean {
    return this.first?.server.standsStill(this.request.lane, now) === true;
  }

  /** @param server has a connection that is good for it */
  send(server: KnownServer): void {
    this.attempts += 1;
    this.awaitsReturn = false;
    this.retried ||= this.first === undefined && this.firstError !== undefined;
    this.lastAsked = server;
    const sentAt = this.clock.now();
    const { lane } = this.request;
    const connection = this.connectionAt(server)!;
    const attempt: Attempt = { server, connection, sentAt, id: 0 };
    try {
      const items = this.request.items(connection.profile);
      if (connection.profile === 'ours') items.wait = waitItem(this.request.deadline - sentAt);
      attempt.id = connection.request(items, (answer) => this.onAnswer(attempt, answer));
    } catch (error) {
      this.settle(
        error instanceof KeylessError ? error : new KeylessError('ERR_KEYLESS_PROTOCOL', String(error)),
      );
      return;
    }
    server.begin(lane, sentAt);
    if (this.first === undefined) this.first = attempt;
    else this.second = attempt;
  }

  /** @param server who answered; `undefined`: nobody did */
  settle(result: ErrandResult, server?: KnownServer): void {
    if (this.settled) return;
    this.settled = true;
    this.deadlines.remove(this);
    this.request.signal?.removeEventListener('abort', this);
    if (clientOperation.hasSubscribers) this.publish(result, server);
    this.events.onSettled(this, result);
    this.onSettled(result, server);
  }

  /** Nobody is left who might do what some key server has failed at. */
  fail(): void {
    this.settle(this.firstError!);
  }

  private onAnswer(attempt: Attempt, answer: Answer | KeylessError): void {
    const now = this.clock.now();
    // A key server answers what nobody waits for any more with an error, which may come before the alarm's turn.
    if (now >= this.deadline && !(answer instanceof KeylessError) && answer.kind === 'error') {
      this.timeOut();
      return;
    }
    if (attempt === this.first) this.first = this.second;
    this.second = undefined;
    const { server } = attempt;
    const { lane } = this.request;
    if (answer instanceof KeylessError) {
      server.fail(lane, answer.code, answer.code !== 'ERR_KEYLESS_CLOSED', now - attempt.sentAt, now);
      this.onFailed(server, answer, true, answer.code !== 'ERR_KEYLESS_CLOSED');
    } else if (answer.kind === 'error') {
      const error = wireError(answer.code, server.name);
      server.fail(lane, error.code, isFault(answer.code), now - attempt.sentAt, now);
      this.onFailed(server, error, false, this.mayDiffer(answer.code, error, attempt));
    } else if (answer.kind === 'pong') {
      const error = new KeylessError(
        'ERR_KEYLESS_PROTOCOL',
        `The key server ${server.name} took a request for a ping.`,
      );
      server.fail(lane, error.code, true, now - attempt.sentAt, now);
      this.onFailed(server, error, false, true);
    } else {
      server.succeed(lane, now - attempt.sentAt, now);
      if (!server.refusals.isEmpty) server.refusals.forget(this.subject);
      this.remember(now);
      this.abandon(now, true);
      this.settle(answer.payload ?? new Uint8Array(0), server);
    }
  }

  /** Whether another key server may do what this one answered with an error. */
  private mayDiffer(code: number, error: KeylessError, { server, connection }: Attempt): boolean {
    if (this.isRepetition(error)) return true;
    if (!isRefusal(this.request.kind, code, connection.profile)) return isFault(code);
    this.refusedBy = [...this.refusedBy, server];
    return true;
  }

  /** Somebody else did it, or may: those that did not are not asked first for the next one. */
  private remember(now: number): void {
    for (const server of this.refusedBy) server.refusals.note(this.subject, now);
  }

  /** Signed for a connection that died since, and too long ago for this key server to say it again: others sign it. */
  private isRepetition(error: KeylessError): boolean {
    return error.code === 'ERR_KEYLESS_KEY_SERVER_UNEXPECTED' && this.firstError !== undefined;
  }

  private onFailed(server: KnownServer, error: KeylessError, lost: boolean, mayRepeat: boolean): void {
    this.firstError ??= error;
    this.failedAt ??= new Map();
    // What one connection has lost the next one may bring; what two have lost, or an error denies, no connection will.
    const mayBring = lost && !this.failedAt.has(server);
    this.failedAt.set(server, mayBring ? this.clock.now() : Number.POSITIVE_INFINITY);
    if (!mayRepeat) this.mostAttempts = 0;
    else if (lost) this.allowProven();
    // Whoever is still asked may answer; if he takes long, or has long, somebody else is asked too, as at first.
    if (this.first !== undefined) return;
    if (this.mayBeSent) {
      if (this.events.onFailed(this, error, lost)) return;
    } else if (this.events.hasOthers(this)) this.remember(this.clock.now());
    this.settle(this.isRepetition(error) ? this.firstError : error, server);
  }

  /** An attempt was lost: if there is none left, one more is made where somebody has shown since that he is there. */
  private allowProven(): void {
    if (this.mayBeSent || this.mostAttempts !== MOST_ATTEMPTS) return;
    this.mostAttempts += 1;
    this.provenSince = this.clock.now();
    this.forgive();
  }

  /** It is not asked, or not again, whoever else is there. */
  isRefusedBy(server: KnownServer): boolean {
    return this.refusedBy.includes(server) || this.request.avoid?.includes(server) === true;
  }

  /** Some key server answered with an error that need not be another's. */
  get isRefused(): boolean {
    return this.refusedBy.length > 0;
  }

  timeOut(): void {
    const waited = Math.round(this.clock.now() - this.startedAt);
    const error =
      this.first === undefined
        ? waitedInVain(waited, this.events.whyNobody(this), this.firstError)
        : unanswered(this.first.server.name, waited, this.firstError);
    this.giveUp(error, true);
  }

  /** Its signal fires. The alarm of whoever waits for it may come a little before ours. */
  handleEvent(): void {
    const { reason } = this.request.signal!;
    const isOurs = reason instanceof KeylessError;
    if (isOurs && reason.code === 'ERR_KEYLESS_TIMEOUT') this.timeOut();
    else this.giveUp(isOurs ? reason : cancelledError(reason), false);
  }

  private giveUp(error: KeylessError, isTimeOut: boolean): void {
    const now = this.clock.now();
    const server = this.asked;
    if (isTimeOut) {
      for (const attempt of [this.first, this.second]) {
        if (attempt === undefined) continue;
        letGo(attempt, this.request, this.clock);
        // While this process stood still nobody could be seen to take long.
        const ms = hasOverslept(this.deadline, now) ? 0 : now - attempt.sentAt;
        attempt.server.fail(this.request.lane, 'ERR_KEYLESS_TIMEOUT', ms >= BLAMED_FROM_MS, ms, now);
      }
      this.first = undefined;
      this.second = undefined;
    } else this.abandon(now, false);
    this.settle(error, server);
  }

  private abandon(now: number, isOutrun: boolean): void {
    const [first, second] = [this.first, this.second];
    this.first = undefined;
    this.second = undefined;
    if (first !== undefined) this.abandonAttempt(first, now, isOutrun);
    if (second !== undefined) this.abandonAttempt(second, now, isOutrun);
  }

  private abandonAttempt(attempt: Attempt, now: number, isOutrun: boolean): void {
    letGo(attempt, this.request, this.clock);
    attempt.server.abandon(this.request.lane, now - attempt.sentAt, now, isOutrun);
  }

  private publish(result: ErrandResult, server: KnownServer | undefined): void {
    const message: ClientOperation = {
      server: (server ?? this.lastAsked)?.name,
      kind: this.request.kind,
      attempts: this.attempts,
      durationMs: this.clock.now() - this.startedAt,
      error: result instanceof KeylessError ? result : undefined,
    };
    clientOperation.publish(message);
  }
}

/** Nobody waits for the answer any more. What is kept until it comes is nothing of the request. */
function letGo({ connection, id, server, sentAt }: Attempt, { lane, deadline }: ErrandRequest, clock: Clock) {
  connection.giveUp(id, (answer) => {
    const now = clock.now();
    // A key server that hangs may say so itself, when the time is over.
    if (isSignOfLife(answer)) server.answerLate(lane, now - sentAt, now < deadline, now);
  });
}

function isSignOfLife(answer: Answer | KeylessError): boolean {
  if (answer instanceof KeylessError) return false;
  return answer.kind === 'result' || (answer.kind === 'error' && !isFault(answer.code));
}

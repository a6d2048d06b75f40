/**
 * What one key server has of one kind of operation. Key servers sign RSA, and ECDSA on the large curves, in threads, where it
 * queues; P-256 and Ed25519, many times as fast, do not wait behind it there, so they must not at the edge: each kind
 * has its own number of operations at once, and its own line.
 */
import type { SchemeName } from '../protocol/schemes.ts';
import { Congestion } from './congestion.ts';
import { Latency } from './latency.ts';

export const LANES = ['slow', 'quick'] as const;
export type LaneName = (typeof LANES)[number];

const QUICK: ReadonlySet<SchemeName> = new Set<SchemeName>([
  'ecdsa_secp256r1_sha256',
  'ecdsa_sha256',
  'ed25519',
]);

/** As far as the scheme tells: in TLS 1.2 it does not tell the curve. */
export function laneOf(scheme: SchemeName): LaneName {
  return QUICK.has(scheme) ? 'quick' : 'slow';
}

/** A key server that answers nothing for so long, while operations wait, stands still. */
export const STANDSTILL_MS = 500;
/** One that may be about to is not known to answer. */
const DOUBTFUL_MS = STANDSTILL_MS / 2;
/** Answers before the percentiles mean something. */
const ENOUGH_KNOWN = 20;

/** Times are milliseconds on the clock of all calls. Owner: {@link KnownServer}. */
export class Lane {
  readonly #congestion = new Congestion();
  readonly #latency = new Latency();
  /** When something was answered last, or there was something to answer after a pause. */
  #progressAt = 0;
  /** For how long nothing had been answered when the last operation went elsewhere. */
  #silentMs = 0;
  #hasAnswered = false;
  outstanding = 0;

  get hasRoom(): boolean {
    return this.outstanding < this.#congestion.limit;
  }

  /** What nearly all answers of late keep to, milliseconds; `undefined`: too few came to say. */
  p95Ms(now: number): number | undefined {
    this.#latency.forgetOld(now);
    return this.#latency.known < ENOUGH_KNOWN ? undefined : this.#latency.percentileMs(0.95);
  }

  /** Milliseconds that an answer takes, as far as anything is known. */
  averageMs(now: number): number {
    return this.#latency.averageMs(now);
  }

  /** What one more operation costs: less is better. */
  cost(now: number): number {
    return (this.outstanding + 1) * Math.max(this.#latency.averageMs(now), this.silenceMs(now));
  }

  /** How long nothing was answered while operations waited. */
  silenceMs(now: number): number {
    return this.outstanding === 0 ? 0 : now - this.#progressAt;
  }

  standsStill(now: number): boolean {
    return this.silenceMs(now) > STANDSTILL_MS;
  }

  /** As far as anything is known, it answers, and in less time than after which another one is taken to stand still. */
  answers(now: number): boolean {
    // One that has had nothing to answer yet is tried, with one operation at a time.
    const isDoubtful = this.#hasAnswered ? this.silenceMs(now) > DOUBTFUL_MS : this.outstanding > 0;
    return !isDoubtful && this.averageMs(now) < STANDSTILL_MS;
  }

  /** The same of one that has had something to answer, and did. */
  isKnownToAnswer(now: number): boolean {
    return this.#hasAnswered && this.answers(now);
  }

  begin(now: number): void {
    if (this.outstanding === 0) this.#progressAt = now - this.#silentMs;
    this.outstanding += 1;
  }

  /** A result came. */
  succeed(ms: number, now: number): void {
    this.#congestion.record(ms, this.outstanding, now);
    this.#latency.record(ms, now);
    this.#hasAnswered = true;
    this.outstanding -= 1;
    this.#progress(now);
  }

  /** An error came. */
  fail(now: number): void {
    this.outstanding -= 1;
    this.#progress(now);
  }

  /** Nobody waits for the answer any more. @param ms it takes at least so long; @returns whether that is long for it */
  abandon(ms: number, now: number): boolean {
    this.#congestion.recordMissing(ms, this.outstanding, now);
    // Whom others always outrun has nothing to answer in between: that is no progress. An answer is, however late.
    this.#silentMs = this.silenceMs(now);
    this.outstanding -= 1;
    const isLong = ms > this.#latency.averageMs(now);
    if (isLong) this.#latency.recordLate(ms, now);
    return isLong;
  }

  /** An answer came that nobody waited for any more. @param ms what it took */
  answerLate(ms: number, now: number): void {
    this.#latency.recordLate(ms, now);
    this.#hasAnswered = true;
    this.#progress(now);
  }

  #progress(now: number): void {
    this.#progressAt = now;
    this.#silentMs = 0;
  }
}

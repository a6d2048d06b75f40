/** What an operator sees of one key server. */
import type { KeylessError, KeylessErrorCode } from '../errors.ts';
import type { BreakerState } from './breaker.ts';
import type { Profile } from './connection.ts';
import type { LinkState } from './link.ts';

/** What is known of one key server. */
export interface ServerStats {
  /** As it was configured. */
  readonly server: string;
  readonly state: LinkState;
  /** `open`: it failed too often and is left alone; `half-open`: it is being tried. */
  readonly breaker: BreakerState;
  /** How often the breaker has opened. */
  readonly breakerOpened: number;
  readonly profile: Profile | undefined;
  /** Custom functions that it says it has for this edge, as `ticket-keys`; `undefined`: it is not connected, or does not say. */
  readonly functions: readonly string[] | undefined;
  /** How far its clock is ahead of this machine's, milliseconds; `undefined`: it is not connected, or does not say. */
  readonly clockSkewMs: number | undefined;
  /** Connections that are ready now. */
  readonly ready: number;
  /** Operations that wait for its answer. */
  readonly inFlight: number;
  /**
   * Milliseconds from request to answer, also where another key server's came first, or to a time-out where that is longer than
   * usual (a short one says nothing of the server), over the last 10 to 20 s; `undefined`: there was nothing in that time.
   */
  readonly latencyMs: { readonly p50: number; readonly p95: number; readonly p99: number } | undefined;
  /** Operations it has answered with a result. */
  readonly answered: number;
  /** Operations it has not, by the code of the error; each attempt counts. */
  readonly errors: Readonly<Partial<Record<KeylessErrorCode, number>>>;
  /** Second requests to other key servers, because this one took long. */
  readonly hedges: number;
  /** Connections that became ready. */
  readonly connections: number;
  /** Attempts and connections that failed. */
  readonly failures: number;
  /** Requests on its present connections that nobody waits for any more, and that it has not answered yet: many, where it loses some. */
  readonly unanswered: number;
  /** Answers that nobody waited for any more. */
  readonly lateAnswers: number;
  /** Answers to nothing that was asked: a fault of the key server. */
  readonly unknownAnswers: number;
  /** Why the last connection, or attempt at one, failed that no other has replaced since; `undefined`: none, also before the first attempt. */
  readonly lastError: KeylessError | undefined;
}

/** What the clients' process is told to do, and what it says afterwards. */
import type { SecureVersion } from 'node:tls';

/** How every connection of a plan is made. */
export interface Dial {
  readonly version: SecureVersion;
  /** Key exchange, as `ecdhCurve` of node:tls; default X25519. */
  readonly group?: string | undefined;
}

/** As many connections at once as told, each followed by the next: for CPU time and for latency without a queue. */
export interface ClosedPlan extends Dial {
  readonly kind: 'closed';
  /** Taken in turn. */
  readonly ports: readonly number[];
  /** Milliseconds in which handshakes are begun; those under way are waited for. */
  readonly ms: number;
  readonly concurrent: number;
  /** Whether each connection resumes a session, which is made before the time counts; default false: none is offered. */
  readonly resume?: boolean | undefined;
  /** Process ids of who listens: a session is of one of them, and not of the next one that has its port. */
  readonly servers?: readonly number[];
}

/** Connections that begin when they are due, whether others have ended or not: for latency under load. */
export interface OpenPlan extends Dial {
  readonly kind: 'open';
  readonly port: number;
  /** Connections a second, in the mean; the gaps are exponential (a Poisson process). */
  readonly perSecond: number;
  readonly ms: number;
}

/** One connection that receives bytes. */
export interface BulkPlan extends Dial {
  readonly kind: 'bulk';
  readonly port: number;
  readonly bytes: number;
}

/** Connections that send a ClientHello and no more; those of another port are closed. */
export interface HelloPlan extends Dial {
  readonly kind: 'hello';
  readonly port: number;
  /** How many there are to be afterwards: more are opened, or all are closed (0). */
  readonly count: number;
  /** Whether to wait for the server's answer to each. */
  readonly answered: boolean;
}

export type ClientPlan = ClosedPlan | OpenPlan | BulkPlan | HelloPlan;

export interface ClientFigures {
  /** Connections that came through their handshake (`hello`: that sent their first message). */
  readonly handshakes: number;
  readonly failed: number;
  /** Why the first of them failed. */
  readonly reason?: string | undefined;
  /** `open`: from when connections began to be due until none is any more, and the last one came through. */
  readonly wallMs: number;
  /** Of the clients, by rusage. */
  readonly cpuMs: number;
  /** Milliseconds from the begin (`open`: from when it was due) to the end of each handshake; at most 5,000 of them. */
  readonly latencies: readonly number[];
  /** `open`: connections that were due and not begun, because 3,000 were under way, or as many as the limit of open files allows. */
  readonly dropped: number;
}

/**
 * The connections that are through TLS, by client. There are only so many, of one client and of all. Where all places are
 * taken, the client with the most connections gives one up to a client that has fewer: nobody can keep the others out.
 */
import type { Alarm, Clock } from '../clock.ts';
import { ClientShare, REFILL_MS } from './client-share.ts';
import type { PeerIdentity } from './peer-identity.ts';
import type { Rounds } from './rounds.ts';
import type { Session } from './session.ts';

export interface SessionsOptions {
  readonly rounds: Rounds;
  readonly clock: Clock;
  /** Requests of one client in hand at once. */
  readonly maxInFlightPerClient: number;
  readonly maxConnections: number;
  readonly maxConnectionsPerClient: number;
}

/** What all connections of a client have in common. */
export interface KnownClient {
  /** The fingerprint of its certificate in the form in which it came first. */
  readonly name: string;
  readonly share: ClientShare;
}

interface Client extends KnownClient {
  readonly sessions: Set<Session>;
  /** Until when it is known although it has gone; `undefined`: it has not, or is forgotten. */
  leaving: Alarm | undefined;
}

function hasGone({ sessions, share }: Client): boolean {
  return sessions.size === 0 && share.inFlight === 0;
}

export class Sessions {
  readonly #options: SessionsOptions;
  /** By what the authority has signed of its certificate: the rest its holder can write in another way. */
  readonly #clients = new Map<string, Client>();
  #size = 0;
  #onNone: (() => void) | undefined;

  constructor(options: SessionsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#size;
  }

  *[Symbol.iterator](): IterableIterator<Session> {
    for (const { sessions } of this.#clients.values()) yield* sessions;
  }

  /**
   * @returns the client, for one more connection; `undefined`: there is no room for it
   */
  admit(identity: PeerIdentity): KnownClient | undefined {
    const { maxConnections, maxConnectionsPerClient } = this.#options;
    const own = this.#clients.get(identity.signedDigest)?.sessions.size ?? 0;
    if (own >= maxConnectionsPerClient) return undefined;
    if (this.#size < maxConnections) return this.#client(identity);
    const largest = this.#largest();
    if (largest === undefined || largest.sessions.size <= own + 1) return undefined;
    const [oldest] = largest.sessions;
    oldest!.giveWay();
    this.#remove(largest, oldest!);
    return this.#client(identity);
  }

  add(session: Session): void {
    this.#client(session.identity).sessions.add(session);
    this.#size += 1;
  }

  /** It has closed. */
  delete(session: Session): void {
    const { signedDigest } = session.identity;
    const client = this.#clients.get(signedDigest);
    if (client?.sessions.has(session)) this.#remove(client, session);
    this.#forget(signedDigest);
    if (this.#size === 0) this.#onNone?.();
  }

  /** For one who waits. */
  whenNone(): Promise<void> {
    if (this.#size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onNone = resolve;
    });
  }

  #remove({ sessions }: Client, session: Session): void {
    sessions.delete(session);
    this.#size -= 1;
  }

  #client({ signedDigest, fingerprint: name }: PeerIdentity): Client {
    let client = this.#clients.get(signedDigest);
    if (client === undefined) {
      const { rounds, clock, maxInFlightPerClient } = this.#options;
      const share = new ClientShare(rounds, clock, maxInFlightPerClient, () => this.#forget(signedDigest));
      client = { name, share, sessions: new Set(), leaving: undefined };
      this.#clients.set(signedDigest, client);
    }
    return client;
  }

  #largest(): Client | undefined {
    let largest: Client | undefined;
    for (const client of this.#clients.values()) {
      if (client.sessions.size > (largest?.sessions.size ?? 0)) largest = client;
    }
    return largest;
  }

  /**
   * What a client has asked for counts against it until it is done or dropped, also when it has gone; and what was refused as long
   * as it would if it had stayed: who comes again has no more of that for it.
   */
  #forget(signedDigest: string): void {
    const client = this.#clients.get(signedDigest);
    if (client === undefined || !hasGone(client)) return;
    client.leaving ??= this.#options.clock.after(REFILL_MS, () => {
      client.leaving = undefined;
      if (hasGone(client)) this.#clients.delete(signedDigest);
    });
  }
}

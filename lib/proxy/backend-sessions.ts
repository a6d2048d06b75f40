/**
 * The connections of HTTP/2 to one backend: as many as its limit of requests makes necessary, up to a bound. One that does
 * not answer is given nothing more, and another is opened.
 *
 * What they can take is shared between connections of clients: each may hold as much as is left for others. So the first
 * may have half of it, and however much is held, who comes next finds something.
 */
import type { ClientHttp2Stream } from 'node:http2';
import type { Backend } from './backend.ts';
import { BackendSession, type BackendSessionOptions } from './backend-session.ts';
import { BackendTimeout } from './failure.ts';
import { FairQueue } from './fair-queue.ts';
import { Holdings } from './holdings.ts';

/** A request that waits for a connection. */
export interface Waiting {
  /** @throws Error for a request that cannot be sent */
  start(session: BackendSession): ClientHttp2Stream;
  fail(error: Error): void;
}

/** That take requests; those that leave hold one at least, or are about to close. */
export const MOST_SESSIONS = 16;
/** Of a backend whose settings are not known yet: what most allow. */
const USUAL_LIMIT = 100;
/** A backend that takes no more connections is not asked for one without a pause; and one that is full may be so for a moment. */
const PAUSE_MS = 1000;

export class BackendSessions {
  readonly #backend: Backend;
  readonly #options: BackendSessionOptions;
  readonly #open = new Set<BackendSession>();
  readonly #queue = new FairQueue<Waiting>();
  /** Requests that each connection of a client has at this backend. */
  readonly #held = new Holdings();
  #usualLimit = USUAL_LIMIT;
  #pause: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(backend: Backend, options: BackendSessionOptions) {
    this.#backend = backend;
    this.#options = options;
  }

  /** @param owner the client's connection; @returns ends the waiting, if it still waits */
  request(owner: object, waiting: Waiting): () => void {
    const leave = this.#queue.add(owner, waiting);
    this.#serve();
    return leave;
  }

  /** Nothing is under way. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#pause);
    for (const session of this.#open) session.close();
  }

  #serve(): void {
    while (!this.#queue.isEmpty) {
      const session = this.#withRoom();
      if (session === undefined) {
        this.#openAnother();
        return;
      }
      const free = this.#free();
      const next = this.#queue.next((owner) => this.#held.of(owner) < free);
      if (next === undefined) return;
      this.#start(next.owner, next.item, session);
    }
  }

  #start(owner: object, waiting: Waiting, session: BackendSession): void {
    try {
      const stream = waiting.start(session);
      this.#held.take(owner);
      // Before the session tells of its room.
      stream.prependListener('close', () => this.#held.giveBack(owner));
    } catch (error) {
      waiting.fail(error as Error);
    }
  }

  /** The first: those behind it become idle, and close. */
  #withRoom(): BackendSession | undefined {
    for (const session of this.#open) {
      session.check();
      if (session.room > 0) return session;
    }
    return undefined;
  }

  /** Requests that could be sent beyond those that are, also over connections that are not open yet. */
  #free(): number {
    let [ready, room] = [0, 0];
    for (const session of this.#open) {
      if (session.state !== 'ready') continue;
      ready += 1;
      room += session.room;
    }
    return room + (MOST_SESSIONS - ready) * this.#usualLimit;
  }

  /** One at a time: it may do for all that wait. */
  #openAnother(): void {
    if (this.#closed || this.#pause !== undefined) return;
    const states = [...this.#open].map(({ state }) => state);
    if (states.includes('connecting')) return;
    if (states.filter((state) => state === 'ready').length >= MOST_SESSIONS) {
      this.#endUnreadIfAllAreFull();
      return;
    }
    const session: BackendSession = new BackendSession(this.#backend, this.#options, {
      onRoom: () => {
        this.#usualLimit = session.limit;
        this.#serve();
      },
      onLeaving: () => this.#serve(),
      onClosed: (error) => this.#gone(session, error),
    });
    this.#open.add(session);
  }

  /** They would be until those read who do not: what nobody has read for a while ends, of the one that has been full for the longest. */
  #endUnreadIfAllAreFull(): void {
    const ready = [...this.#open].filter(({ state }) => state === 'ready');
    if (ready.some(({ fullMs }) => fullMs === 0)) return;
    const first = ready.reduce((one, other) => (other.fullMs > one.fullMs ? other : one));
    if (first.fullMs < PAUSE_MS) this.#tryAgainLater();
    // Those that leave are connections, too.
    else if (this.#open.size - ready.length >= MOST_SESSIONS) first.destroy();
    else first.endUnread(PAUSE_MS);
  }

  #tryAgainLater(): void {
    this.#pause ??= setTimeout(() => {
      this.#pause = undefined;
      this.#serve();
    }, PAUSE_MS).unref();
  }

  #gone(session: BackendSession, error: Error | undefined): void {
    this.#open.delete(session);
    if (!session.used && !(error instanceof BackendTimeout)) this.#unusable(error);
    this.#serve();
  }

  /** The backend is not there; or, where it is, it takes no more connections, and those that are there must do. */
  #unusable(error = new Error('closed without a word')): void {
    if ([...this.#open].some(({ state }) => state === 'ready')) {
      this.#tryAgainLater();
      return;
    }
    for (const waiting of this.#queue.takeAll()) waiting.fail(error);
  }
}

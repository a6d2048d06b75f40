/**
 * The connections of HTTP/2 to a backend that one connection of a client has, and its requests that wait for one.
 *
 * Nobody else's requests go over them meanwhile: what a client asks for and does not read, or asks for too often, is held
 * against its own requests.
 */
import type { WaitingForPlace } from './backend-places.ts';
import type { BackendSession } from './backend-session.ts';

/** A request that waits for a connection. */
export interface Waiting {
  /** @throws Error for a request that cannot be sent */
  start(session: BackendSession): void;
  fail(error: Error): void;
}

/** Where its connections come from. */
export interface SessionSource {
  /** @returns ends the waiting */
  enter(waiting: WaitingForPlace): () => void;
  /** One that was kept and has room, or one that connects. */
  take(): BackendSession;
}

export class ClientSessions {
  readonly #source: SessionSource;
  readonly #waiting = new Set<Waiting>();
  /** With what gives their places back. */
  readonly #sessions = new Map<BackendSession, () => void>();
  #stopAsking: (() => void) | undefined;
  #isPaused = false;

  constructor(source: SessionSource) {
    this.#source = source;
  }

  get isWaiting(): boolean {
    return this.#waiting.size > 0;
  }

  /** It has no connection, and needs none. */
  get isDone(): boolean {
    return this.#waiting.size === 0 && this.#sessions.size === 0;
  }

  /** @returns ends the waiting, if it still waits */
  add(waiting: Waiting): () => void {
    this.#waiting.add(waiting);
    this.serve();
    return () => {
      this.#waiting.delete(waiting);
      if (this.#waiting.size === 0) this.#askNoMore();
    };
  }

  serve(): void {
    for (const waiting of this.#waiting) {
      const session = this.#withRoom() ?? this.#another();
      if (session === undefined) return;
      this.#waiting.delete(waiting);
      try {
        waiting.start(session);
      } catch (error) {
        waiting.fail(error as Error);
      }
    }
    this.#askNoMore();
  }

  /** The backend takes no more connections: none is asked for, until {@link resume}. */
  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.serve();
  }

  /** The connection is no longer this client's. */
  drop(session: BackendSession): void {
    const giveBack = this.#sessions.get(session);
    this.#sessions.delete(session);
    giveBack?.();
  }

  /** In the same place. */
  replace(session: BackendSession, by: BackendSession): void {
    this.#sessions.set(by, this.#sessions.get(session)!);
    this.#sessions.delete(session);
    this.serve();
  }

  /** All that waits fails. */
  fail(error: Error): void {
    const all = [...this.#waiting];
    this.#waiting.clear();
    this.#askNoMore();
    for (const waiting of all) waiting.fail(error);
  }

  #withRoom(): BackendSession | undefined {
    for (const session of this.#sessions.keys()) {
      session.check();
      if (session.room > 0) return session;
    }
    return undefined;
  }

  /** One at a time, which may do for all that wait. */
  #another(): BackendSession | undefined {
    if (this.#isPaused || this.#stopAsking !== undefined || this.#hasPromise()) return undefined;
    let isAsking = true;
    const leave = this.#source.enter({
      start: (giveBack) => {
        isAsking = false;
        this.#sessions.set(this.#source.take(), giveBack);
        // At once, it is for who asks here.
        if (this.#stopAsking === undefined) return;
        this.#stopAsking = undefined;
        this.serve();
      },
      fail: (error) => {
        isAsking = false;
        this.#stopAsking = undefined;
        this.fail(error);
      },
    });
    if (isAsking) this.#stopAsking = leave;
    return this.#withRoom();
  }

  /** One of them will have room without another's end: it connects, or the backend has said that it takes nothing for now. */
  #hasPromise(): boolean {
    return [...this.#sessions.keys()].some(
      ({ state, limit }) => state === 'connecting' || (state === 'ready' && limit === 0),
    );
  }

  #askNoMore(): void {
    this.#stopAsking?.();
    this.#stopAsking = undefined;
  }
}

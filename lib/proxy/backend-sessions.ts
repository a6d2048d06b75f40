/**
 * The connections of HTTP/2 to one backend. Each is one client's for as long as that has requests on it, as one of HTTP/1.1 is
 * one request's, and is kept then for whoever needs one next. One that does not answer is given nothing more, and another is
 * opened.
 */
import { type Backend, KEPT_CONNECTIONS } from './backend.ts';
import type { BackendPlaces } from './backend-places.ts';
import { BackendSession, type BackendSessionOptions } from './backend-session.ts';
import { ClientSessions, type Waiting } from './client-sessions.ts';
import { BackendTimeout } from './failure.ts';

/** A backend that takes no more connections is not asked for one without a pause. */
const PAUSE_MS = 1000;

export class BackendSessions {
  readonly #backend: Backend;
  readonly #options: BackendSessionOptions;
  readonly #places: BackendPlaces;
  /** By their connections: who has requests here. */
  readonly #clients = new Map<object, ClientSessions>();
  readonly #users = new Map<BackendSession, object>();
  /** That have not told their settings; the first one was opened first. */
  readonly #connecting = new Set<BackendSession>();
  /** Without a user, also such as connect; the last one was used last. */
  readonly #kept: BackendSession[] = [];
  /** Whose attempt to connect the backend has refused while others are connected. */
  readonly #refused = new Set<object>();
  #pause: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(backend: Backend, options: BackendSessionOptions, places: BackendPlaces) {
    this.#backend = backend;
    this.#options = options;
    this.#places = places;
  }

  /** @param owner the client's connection; @returns ends the waiting, if it still waits */
  request(owner: object, waiting: Waiting): () => void {
    const leave = this.#clientOf(owner).add(waiting);
    this.#forget(owner);
    return () => {
      leave();
      this.#forget(owner);
    };
  }

  /** Nothing is under way. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#pause);
    for (const session of [...this.#kept, ...this.#users.keys()]) session.close();
  }

  #clientOf(owner: object): ClientSessions {
    const known = this.#clients.get(owner);
    if (known !== undefined) return known;
    const client = new ClientSessions({
      enter: (waiting) => this.#places.request(owner, waiting),
      take: () => this.#take(owner),
    });
    this.#clients.set(owner, client);
    return client;
  }

  #forget(owner: object): void {
    if (!this.#clients.get(owner)?.isDone) return;
    this.#clients.delete(owner);
    this.#refused.delete(owner);
  }

  #take(owner: object): BackendSession {
    const session = this.#takeKept() ?? this.#takeConnecting() ?? this.#open();
    this.#users.set(session, owner);
    return session;
  }

  #takeKept(): BackendSession | undefined {
    const index = this.#kept.findLastIndex((session) => {
      session.check();
      return session.room > 0;
    });
    return index < 0 ? undefined : this.#kept.splice(index, 1)[0];
  }

  /** The client that it was opened for has got another one. */
  #takeConnecting(): BackendSession | undefined {
    const index = this.#kept.findIndex(({ state }) => state === 'connecting');
    return index < 0 ? undefined : this.#kept.splice(index, 1)[0];
  }

  #open(): BackendSession {
    const session: BackendSession = new BackendSession(this.#backend, this.#options, {
      onRoom: () => this.#settle(session),
      onLeaving: () => this.#leave(session),
      onClosed: (error) => this.#gone(session, error),
    });
    this.#connecting.add(session);
    return session;
  }

  /** One may have room, or be idle. */
  #settle(session: BackendSession): void {
    this.#connecting.delete(session);
    const owner = this.#users.get(session);
    const isNew = !session.used;
    if (owner !== undefined) this.#serve(owner, session);
    // The backend takes connections; or one that is kept answers again.
    if (isNew || owner === undefined) this.#resume();
    if (owner === undefined) this.#handOver();
  }

  #serve(owner: object, session: BackendSession): void {
    const client = this.#clients.get(owner)!;
    if (session.isIdle && !session.isClean) session.close();
    client.serve();
    if (session.isIdle && session.state !== 'leaving' && !client.isWaiting) this.#keep(owner, session);
  }

  #keep(owner: object, session: BackendSession): void {
    this.#users.delete(session);
    if (this.#closed || this.#kept.length >= KEPT_CONNECTIONS) session.close();
    else this.#kept.push(session);
    this.#clients.get(owner)!.drop(session);
    this.#forget(owner);
    this.#resume();
    this.#handOver();
  }

  /** Backends leave connections that they do not take without a word: who waits for such a one is given what is free, and leaves it to others. */
  #handOver(): void {
    for (const connecting of this.#connecting) {
      const owner = this.#users.get(connecting);
      const client = owner && this.#clients.get(owner)!;
      if (owner === undefined || !client?.isWaiting) continue;
      const session = this.#takeKept();
      if (session === undefined) return;
      this.#users.delete(connecting);
      this.#kept.unshift(connecting);
      this.#users.set(session, owner);
      client.replace(connecting, session);
      return;
    }
  }

  /** It takes no more requests. */
  #leave(session: BackendSession): void {
    this.#connecting.delete(session);
    const index = this.#kept.indexOf(session);
    if (index >= 0) this.#kept.splice(index, 1);
    const owner = this.#users.get(session);
    if (owner !== undefined) this.#clients.get(owner)!.serve();
  }

  #gone(session: BackendSession, error: Error | undefined): void {
    const owner = this.#users.get(session);
    if (owner === undefined) return;
    this.#users.delete(session);
    const client = this.#clients.get(owner)!;
    client.drop(session);
    if (session.used || error instanceof BackendTimeout) client.serve();
    else this.#unusable(owner, client, error);
    this.#forget(owner);
  }

  /** The backend is not there; or, where it is, it takes no more connections, and those that are there must do. */
  #unusable(owner: object, client: ClientSessions, error = new Error('closed without a word')): void {
    if (![...this.#kept, ...this.#users.keys()].some(({ state }) => state === 'ready')) {
      client.fail(error);
      return;
    }
    client.pause();
    this.#refused.add(owner);
    this.#tryAgainLater();
  }

  #tryAgainLater(): void {
    this.#pause ??= setTimeout(() => {
      this.#pause = undefined;
      this.#resume();
      if (this.#refused.size > 0) this.#tryAgainLater();
    }, PAUSE_MS).unref();
  }

  /** Of those that were refused, the one that has waited for the longest. */
  #resume(): void {
    const [owner] = this.#refused;
    if (owner === undefined) return;
    this.#refused.delete(owner);
    this.#clients.get(owner)!.resume();
  }
}

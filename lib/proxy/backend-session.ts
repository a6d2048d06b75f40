/**
 * One connection of HTTP/2 to a backend, and whether it is of use: TCP alone notices a peer that is not there any more
 * after a quarter of an hour.
 *
 * States: connecting -> ready <-> doubted; each of them -> leaving (no more requests) -> closed.
 */
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type ClientSessionRequestOptions,
  connect,
  constants,
  type OutgoingHttpHeaders,
} from 'node:http2';
import type { Socket } from 'node:net';
import { type Backend, connectBackend } from './backend.ts';
import { BackendTimeout, ClientStalled } from './failure.ts';
import { hasManyFields, MOST_FIELDS } from './headers.ts';

export interface BackendSessionOptions {
  /** Until the backend has told its settings; without a word from it, although it was asked something. */
  readonly timeoutMs: number;
  /** Without a request. */
  readonly idleTimeoutMs: number;
}

export interface BackendSessionEvents {
  /** It may have room that it had not. */
  onRoom(): void;
  /** It takes no more requests. */
  onLeaving(): void;
  onClosed(error: Error | undefined): void;
}

/** An answer to a ping takes the way there and back, and nothing else. */
const PING_LIMIT_MS = 5000;

export function schemeOf({ protocol }: Backend): 'http' | 'https' {
  return protocol === 'h2' ? 'https' : 'http';
}

export class BackendSession {
  readonly #options: BackendSessionOptions;
  readonly #events: BackendSessionEvents;
  readonly #socket: Socket;
  readonly #session: ClientHttp2Session;
  readonly #connecting: NodeJS.Timeout;
  #state: 'connecting' | 'ready' | 'doubted' | 'leaving' = 'connecting';
  #limit = 0;
  #streams = 0;
  #used = false;
  /**
   * When it refused a request although others of it go on, and none of them has come to its end since: Node's servers do for as long as they
   * hold 10 MB that slow clients do not take, and they (20 to 26) go on counting what was broken off. `undefined`: it takes what it is given.
   */
  #fullSince: number | undefined;
  /** It has refused a request so: what it counts may be what was broken off. Of use again, once nothing is under way, is only another one. */
  #wasFull = false;
  /** Answers that their clients do not read, since when. */
  readonly #unread = new Map<ClientHttp2Stream, number>();
  /** The last stream that it has looked at, or may have. */
  #lastSeen = Number.POSITIVE_INFINITY;
  #heardBytes = 0;
  /** When the first request was sent after which nothing has been heard; `undefined`: there is none. */
  #unheardSince: number | undefined;

  constructor(backend: Backend, options: BackendSessionOptions, events: BackendSessionEvents) {
    const { host, port } = backend;
    this.#options = options;
    this.#events = events;
    // A backend that has ended its side answers nothing more, and of one half open Node.js would tell nothing.
    this.#socket = connectBackend(backend, { protocol: 'h2' });
    this.#session = connect(`${schemeOf(backend)}://${host.includes(':') ? `[${host}]` : host}:${port}`, {
      createConnection: () => this.#socket,
      maxHeaderListPairs: MOST_FIELDS,
      // Nobody asks for it, and what nobody reads stays in memory.
      settings: { enablePush: false },
    });
    this.#connecting = setTimeout(() => this.#session.destroy(new BackendTimeout()), options.timeoutMs);
    this.#listen();
  }

  get state(): 'connecting' | 'ready' | 'doubted' | 'leaving' {
    return this.#state;
  }

  /** Requests that the backend takes at once. */
  get limit(): number {
    return this.#limit;
  }

  /** Requests that it can be given, now. */
  get room(): number {
    return this.#isReady && this.#fullSince === undefined ? Math.max(0, this.#limit - this.#streams) : 0;
  }

  /** How long it has been full; 0: it is not. */
  get fullMs(): number {
    return this.#fullSince === undefined ? 0 : Math.max(1, performance.now() - this.#fullSince);
  }

  /** Whether it has ever been given a request. */
  get used(): boolean {
    return this.#used;
  }

  /** Whether its connection has ended, whoever has ended it. */
  get lost(): boolean {
    return this.#session.destroyed || this.#socket.destroyed;
  }

  /** RFC 9113 §8.7: whether the backend says that it has not looked at this request. That is never a code of GOAWAY, which Node.js gives all of them. */
  hasRefused({ id = 0, rstCode }: ClientHttp2Stream): boolean {
    return id > this.#lastSeen || (!this.#session.destroyed && rstCode === constants.NGHTTP2_REFUSED_STREAM);
  }

  /** @throws Error of node:http2 for fields that cannot be sent */
  request(fields: OutgoingHttpHeaders, options: ClientSessionRequestOptions): ClientHttp2Stream {
    const stream = this.#session.request(fields, options);
    this.#used = true;
    this.#streams += 1;
    this.#listenToBytes();
    this.#unheardSince ??= performance.now();
    stream
      .on('pause', () => this.#unread.set(stream, performance.now()))
      .on('resume', () => this.#unread.delete(stream));
    stream.on('close', () => {
      this.#unread.delete(stream);
      this.#streams -= 1;
      if (stream.rstCode === constants.NGHTTP2_ENHANCE_YOUR_CALM) this.#refused(fields);
      else if (stream.rstCode === constants.NGHTTP2_NO_ERROR) this.#fullSince = undefined;
      if (this.#streams === 0 && this.#wasFull) this.close();
      else this.#events.onRoom();
    });
    return stream;
  }

  #refused(fields: OutgoingHttpHeaders): void {
    // Node's servers refuse that in the same way, however little they hold.
    if (hasManyFields(fields)) return;
    this.#fullSince ??= performance.now();
    this.#wasFull = true;
  }

  /** Doubts it if it has been silent for as long as a backend may be. */
  check(): void {
    this.#listenToBytes();
    const silentMs = performance.now() - (this.#unheardSince ?? Number.POSITIVE_INFINITY);
    if (silentMs > this.#options.timeoutMs) this.doubt();
  }

  /**
   * A request has waited in vain: if nothing else was heard either, the backend has to answer a ping, and until then it is
   * given nothing. Without that reason it is sent none: servers of gRPC close connections of who pings them often.
   */
  doubt(): void {
    this.#listenToBytes();
    if (!this.#isReady || this.#unheardSince === undefined) return;
    this.#state = 'doubted';
    const limit = Math.min(this.#options.timeoutMs, PING_LIMIT_MS);
    const alarm = setTimeout(() => this.#session.destroy(new BackendTimeout()), limit);
    this.#session.ping((error) => {
      clearTimeout(alarm);
      if (error !== null || this.#state !== 'doubted') return;
      this.#state = 'ready';
      this.#events.onRoom();
    });
  }

  /**
   * The answers end that nobody has read for so long, and the others are its last. Where there are none, what it refused was that request,
   * whatever it had against it. So it is given others.
   */
  endUnread(ms: number): void {
    const unread = [...this.#unread].filter(([, since]) => performance.now() - since >= ms);
    if (unread.length === 0) {
      this.#fullSince = undefined;
      this.#events.onRoom();
      return;
    }
    this.close();
    for (const [stream] of unread) stream.destroy(new ClientStalled());
  }

  /** What is under way breaks off. */
  destroy(): void {
    this.#session.destroy();
  }

  /** What is under way is finished. */
  close(): void {
    if (this.#state === 'connecting') this.#session.destroy();
    else this.#session.close();
    this.#leave();
  }

  /** Node tells of an end after it has come. */
  get #isReady(): boolean {
    return this.#state === 'ready' && !this.#session.closed && !this.#session.destroyed;
  }

  #listen(): void {
    let failure: Error | undefined;
    this.#session
      .on('remoteSettings', ({ maxConcurrentStreams }) => this.#settled(maxConcurrentStreams))
      // Each stream tells its own error; a session that said goodbye takes no more.
      .on('error', (error) => {
        failure = error;
        this.#leave();
      })
      .on('goaway', (_code, lastSeen) => {
        this.#lastSeen = lastSeen;
        this.#leave();
      })
      .on('close', () => {
        this.#leave();
        this.#events.onClosed(failure);
      });
    this.#session.setTimeout(this.#options.idleTimeoutMs, () => {
      if (this.#streams > 0 || !this.#isReady) return;
      this.#leave();
      this.#session.close();
    });
    this.#session.unref();
  }

  #settled(maxConcurrentStreams: number | undefined): void {
    clearTimeout(this.#connecting);
    this.#limit = maxConcurrentStreams ?? Number.MAX_SAFE_INTEGER;
    if (this.#state === 'connecting') this.#state = 'ready';
    this.#events.onRoom();
  }

  #leave(): void {
    clearTimeout(this.#connecting);
    if (this.#state === 'leaving') return;
    this.#state = 'leaving';
    this.#events.onLeaving();
  }

  #listenToBytes(): void {
    const { bytesRead } = this.#socket;
    if (bytesRead === this.#heardBytes) return;
    this.#heardBytes = bytesRead;
    this.#unheardSince = undefined;
  }
}

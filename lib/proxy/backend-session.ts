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
import { watchEnd } from './answer-end.ts';
import { type Backend, connectBackend } from './backend.ts';
import { BackendTimeout } from './failure.ts';
import { MOST_FIELDS } from './headers.ts';

export interface BackendSessionOptions {
  /** Until the backend has told its settings; without a word from it, although it was asked something. */
  readonly timeoutMs: number;
  /** Without a request. */
  readonly idleTimeoutMs: number;
}

export interface BackendSessionEvents {
  /** It may have room that it had not, or be idle. */
  onRoom(): void;
  /** It takes no more requests. */
  onLeaving(): void;
  onClosed(error: Error | undefined): void;
}

/** An answer to a ping takes the way there and back, and nothing else. */
const PING_LIMIT_MS = 5000;
/** A backend closes a connection when it is told to. */
const CLOSE_LIMIT_MS = 5000;

export function schemeOf({ protocol }: Backend): 'http' | 'https' {
  return protocol === 'h2' ? 'https' : 'http';
}

export class BackendSession {
  readonly #options: BackendSessionOptions;
  readonly #events: BackendSessionEvents;
  readonly #socket: Socket;
  readonly #session: ClientHttp2Session;
  readonly #connecting: NodeJS.Timeout;
  /** Node.js's time-out of a session counts from any frame on, and does not come again when a request ends that it has found under way. */
  readonly #idle: NodeJS.Timeout;
  #state: 'connecting' | 'ready' | 'doubted' | 'leaving' = 'connecting';
  #limit = 0;
  #streams = 0;
  /** Of these: whose answers have begun. */
  #answering = 0;
  #used = false;
  /** It has refused a request although others of it went on, and none of them has come to its end since. */
  #isFull = false;
  #isClean = true;
  /** Whether their answers are whole. */
  readonly #ends = new WeakMap<ClientHttp2Stream, () => boolean>();
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
    this.#idle = setTimeout(() => this.#closeIfUnused(), options.idleTimeoutMs).unref();
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
    return this.#isReady && !this.#isFull ? Math.max(0, this.#limit - this.#streams) : 0;
  }

  /** Answers are under way. */
  get isAnswering(): boolean {
    return this.#answering > 0;
  }

  /** No request is under way. */
  get isIdle(): boolean {
    return this.#streams === 0;
  }

  /**
   * Whether it is as good as another one. Servers of Node.js (20 to 26) refuse all requests of a connection for which they hold 10 MB that nobody
   * reads, and go on counting an answer that is broken off.
   */
  get isClean(): boolean {
    return this.#isClean;
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

  /** Whether all of its answer has come. */
  hasEnded(stream: ClientHttp2Stream): boolean {
    return this.#ends.get(stream)?.() ?? false;
  }

  /** @throws Error of node:http2 for fields that cannot be sent */
  request(fields: OutgoingHttpHeaders, options: ClientSessionRequestOptions): ClientHttp2Stream {
    const stream = this.#session.request(fields, options);
    this.#used = true;
    this.#streams += 1;
    this.#listenToBytes();
    this.#unheardSince ??= performance.now();
    this.#ends.set(stream, watchEnd(stream));
    let isAnswered = false;
    stream.on('response', () => {
      isAnswered = true;
      this.#answering += 1;
    });
    stream.on('close', () => {
      this.#streams -= 1;
      if (isAnswered) this.#answering -= 1;
      const [isRefused, hasEnded] = [
        stream.rstCode === constants.NGHTTP2_ENHANCE_YOUR_CALM,
        this.hasEnded(stream),
      ];
      this.#isFull = isRefused || (this.#isFull && !hasEnded);
      if (isRefused || (isAnswered && !hasEnded)) this.#isClean = false;
      if (this.#state === 'leaving') this.#endIfIdle();
      this.#idle.refresh();
      this.#events.onRoom();
    });
    return stream;
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
        clearTimeout(this.#idle);
        this.#leave();
        this.#events.onClosed(failure);
      });
    this.#session.unref();
  }

  #settled(maxConcurrentStreams: number | undefined): void {
    clearTimeout(this.#connecting);
    this.#limit = maxConcurrentStreams ?? Number.MAX_SAFE_INTEGER;
    if (this.#state === 'connecting') {
      this.#state = 'ready';
      this.#idle.refresh();
    }
    this.#events.onRoom();
  }

  #leave(): void {
    clearTimeout(this.#connecting);
    if (this.#state === 'leaving') return;
    this.#state = 'leaving';
    this.#endIfIdle();
    this.#events.onLeaving();
  }

  /** One that connects has a limit of its own. */
  #closeIfUnused(): void {
    if (this.#streams === 0 && this.#state !== 'connecting') this.close();
  }

  /** Node.js waits for the other end to close, for as long as that takes. */
  #endIfIdle(): void {
    if (this.#streams > 0 || this.#socket.destroyed) return;
    const alarm = setTimeout(() => this.#socket.destroy(), CLOSE_LIMIT_MS).unref();
    this.#socket.once('close', () => clearTimeout(alarm));
  }

  #listenToBytes(): void {
    const { bytesRead } = this.#socket;
    if (bytesRead === this.#heardBytes) return;
    this.#heardBytes = bytesRead;
    this.#unheardSince = undefined;
  }
}

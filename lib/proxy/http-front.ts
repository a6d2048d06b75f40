/** HTTP/1.1 and HTTP/2 with a client, over the TLS connections that are handed in; requests go to the host's backend. */
import {
  createServer,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type Server,
  type ServerResponse,
} from 'node:http';
import { createServer as createHttp2Server, type Http2Server, type ServerHttp2Session } from 'node:http2';
import type { TLSSocket } from 'node:tls';
import { escapePeerText } from '../protocol/peer-text.ts';
import type { Backend } from './backend.ts';
import { BackendPlaces } from './backend-places.ts';
import type { RequestRecord } from './events.ts';
import { Exchange, type Sender, type Sent } from './exchange.ts';
import { ClientFault, reasonOf, statusOfUnread } from './failure.ts';
import { refuse } from './final-status.ts';
import { type FrontRequest, type FrontResponse, hasBody, isHttp2, MAX_STREAMS } from './front-request.ts';
import { type Client, MOST_FIELDS, requestHeaders, takesTrailers } from './headers.ts';
import { endWhenIdle } from './idle-session.ts';
import { Line } from './line.ts';
import { quiet } from './quiet.ts';
import {
  type Addressed,
  asksForChange,
  authorityOf,
  forwardsLeft,
  refusedRequest,
  refusedUpgrade,
  targetOf,
} from './refused-request.ts';
import { type OnChange, type OutgoingRequest, sendHttp1 } from './send-http1.ts';
import { Http2Backend } from './send-http2.ts';
import type { StallLimits } from './stall-watch.ts';
import { upgrade } from './upgrade.ts';

/** What is known of a connection when TLS is through. */
export interface Visit extends Addressed {
  readonly host: string;
  readonly backend: Backend;
  readonly client: Client;
  /** Whatever it throws ends this connection, and is told of; never rejects. */
  contain(work: () => unknown): Promise<void>;
}

export interface HttpFrontOptions {
  readonly backendTimeoutMs: number;
  readonly idleTimeoutMs: number;
  /** Connections to backends of HTTP, beyond one for each connection of a client. */
  readonly backendStock: number;
  onRecord(record: RequestRecord): void;
}

/** Node's own: how late a head may be found to be too late. */
const MOST_CHECKING_MS = 30_000;
/** RFC 9113 §7. */
const NO_ERROR = 0x0;
/** RFC 9113 §6.8: whatever is on its way is still taken. */
const ANY_STREAM = 2 ** 31 - 1;
/** While it ends: for what is on its way from clients that it has told so, or could not tell. */
export const LAST_HEADS_MS = 2000;
const REQUEST_TIMEOUT = 408;
/** RFC 9110 §10.1.1: nothing but `100-continue`. */
const EXPECTATION_FAILED = 417;

function overHttp2({ protocol }: Backend): boolean {
  return protocol === 'h2' || protocol === 'h2c';
}

export class HttpFront {
  readonly #options: HttpFrontOptions;
  readonly #http1: Server;
  readonly #http2: Http2Server;
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #places: BackendPlaces;
  readonly #http2Backends = new Map<Backend, Http2Backend>();
  /** By socket for HTTP/1.1, by session for HTTP/2, which hides its socket. */
  readonly #visits = new WeakMap<object, Visit>();
  readonly #lines = new Map<TLSSocket, Line>();
  readonly #exchanges = new WeakMap<FrontRequest, Exchange>();
  /** The connection that is being handed to HTTP/2. */
  #arriving: { readonly socket: TLSSocket; readonly visit: Visit } | undefined;
  #closing = false;

  constructor(options: HttpFrontOptions) {
    this.#options = options;
    this.#places = new BackendPlaces(options.backendStock);
    const { idleTimeoutMs } = options;
    this.#http1 = createServer(
      {
        keepAliveTimeout: idleTimeoutMs,
        // A head has to be there within this time; a body has as long as it goes on (see StallWatch).
        headersTimeout: idleTimeoutMs,
        requestTimeout: 0,
        connectionsCheckingInterval: Math.min(idleTimeoutMs, MOST_CHECKING_MS),
        // Refused here, where it is told of.
        requireHostHeader: false,
      },
      (request, response) => this.#contain(request, (visit) => this.#serve(request, response, visit)),
    );
    this.#http1.timeout = idleTimeoutMs;
    // All fields or none: Node leaves out those after the 2,000th, which a head of 16 KB can have.
    this.#http1.maxHeadersCount = 0;
    // It listens nowhere itself; with this it watches over connections that send their requests too slowly.
    this.#http1.emit('listening');
    // CONNECT goes nowhere, but without a listener it would not even be answered.
    for (const event of ['upgrade', 'connect'] as const)
      this.#http1.on(event, (request, stream, head) => {
        // Of a request with a body, Node 26 gives what comes behind that as a stream of its own. Nobody reads it.
        quiet(stream);
        this.#contain(request, (visit) => this.#upgrade(request, head, visit));
      });
    this.#http1.on('clientError', (error, socket) =>
      this.#visits.get(socket)?.contain(() => this.#failUnread(error, socket as TLSSocket)),
    );
    this.#http2 = createHttp2Server(
      { settings: { maxConcurrentStreams: MAX_STREAMS }, maxHeaderListPairs: MOST_FIELDS },
      (request, response) => this.#contain(request, (visit) => this.#serve(request, response, visit)),
    );
    // As a request; without a listener Node answers it.
    this.#http2.on('connect', (request: FrontRequest, response: FrontResponse) =>
      this.#contain(request, (visit) => this.#serve(request, response, visit)),
    );
    for (const server of [this.#http1, this.#http2])
      server.on('checkExpectation', (request: FrontRequest, response: FrontResponse) =>
        this.#contain(request, (visit) => this.#serve(request, response, visit, EXPECTATION_FAILED)),
      );
    this.#http2.on('session', (session) => {
      const { socket, visit } = this.#arriving!;
      endWhenIdle(session, socket, idleTimeoutMs);
      this.#visits.set(session, visit);
      this.#sessions.add(session);
      session.on('close', () => this.#sessions.delete(session));
      if (this.#closing) this.#endSoon(session);
      // Reset without an error, a stream waits for the end of what is written to it, and its session with it, also when the
      // client has gone: nodejs/node, up to 22.
      session.on('stream', (stream) =>
        stream.on('aborted', () => {
          if (stream.rstCode === NO_ERROR) stream.destroy();
        }),
      );
    });
    // An error of one client's session is that client's; its streams tell theirs.
    this.#http2.on('sessionError', () => undefined);
  }

  /** Serves a connection whose TLS is through. */
  take(socket: TLSSocket, visit: Visit): void {
    this.#visits.set(socket, visit);
    if (socket.alpnProtocol !== 'h2') {
      this.#http1.emit('connection', socket);
      this.#lines.set(socket, new Line(socket, () => this.#closing, this.#options.idleTimeoutMs));
      socket.on('close', () => this.#lines.delete(socket));
      if (this.#closing) this.#takeLast(socket);
      return;
    }
    this.#arriving = { socket, visit };
    this.#http2.emit('connection', socket);
    this.#arriving = undefined;
  }

  /** Answers under way are finished; kept connections are closed, and others after the answer to what has begun to come. */
  drain(): void {
    this.#closing = true;
    for (const [socket, { free, begun }] of this.#lines) {
      if (begun) this.#takeLast(socket);
      else if (free) socket.destroySoon();
    }
    for (const session of this.#sessions) session.close();
  }

  close(): void {
    // Ends the watch; that it does not listen is no error here.
    this.#http1.close(() => undefined);
    for (const backend of this.#http2Backends.values()) backend.close();
  }

  /** A request that is there in time is the connection's last. */
  #takeLast(socket: TLSSocket): void {
    const line = this.#lines.get(socket);
    const alarm = setTimeout(() => {
      // Otherwise it is another protocol's.
      if (line?.free && this.#lines.get(socket) === line) this.#refuseUnread(REQUEST_TIMEOUT, socket, line);
    }, LAST_HEADS_MS);
    socket.on('close', () => clearTimeout(alarm));
  }

  /** Its client asks for nothing more when it has read so; what it has asked for by then is answered. */
  #endSoon(session: ServerHttp2Session): void {
    session.goaway(NO_ERROR, ANY_STREAM);
    const alarm = setTimeout(() => session.close(), LAST_HEADS_MS);
    session.on('close', () => clearTimeout(alarm));
  }

  get #limits(): StallLimits {
    return { backendMs: this.#options.backendTimeoutMs, clientMs: this.#options.idleTimeoutMs };
  }

  /** A stream of HTTP/2 that was reset before it is served has no session any more: there is nobody to serve. */
  #contain(request: FrontRequest, work: (visit: Visit) => Promise<void>): void {
    const key = isHttp2(request) ? request.stream.session : request.socket;
    const visit = key && this.#visits.get(key);
    void visit?.contain(() => work(visit));
  }

  /** @param fault a status with which it is refused, if not with another */
  async #serve(request: FrontRequest, response: FrontResponse, visit: Visit, fault?: number): Promise<void> {
    const startedAt = performance.now();
    if (!this.#begin(request, response)) return;
    const refused = refusedRequest(request, visit) ?? fault;
    if (refused !== undefined) {
      const headers = { 'content-length': 0, ...this.#lastAnswer(request) };
      (response as ServerResponse).writeHead(refused, headers);
      response.end();
      this.#record('http', request, visit, startedAt, { status: refused, bytes: 0, error: undefined });
      return;
    }
    const exchange = new Exchange(request, response, {
      send: (sender) => this.#send(request, visit, sender),
      limits: this.#limits,
      closing: () => this.#closing,
      lastAnswer: () => this.#lastAnswer(request),
    });
    this.#exchanges.set(request, exchange);
    this.#record('http', request, visit, startedAt, await exchange.run());
  }

  /** What Node's parser does not take: a head, of which nothing is known, or the body of a request that is under way. */
  #failUnread(error: Error, socket: TLSSocket): void {
    const [line, status] = [this.#lines.get(socket), statusOfUnread(error)];
    // Who ends in the middle of a body has gone.
    const gone = socket.readableEnded && line?.partial;
    if (line === undefined || status === undefined || !socket.writable || gone) {
      socket.destroy();
      return;
    }
    this.#refuseUnread(status, socket, line);
  }

  #refuseUnread(status: number, socket: TLSSocket, line: Line): void {
    const { request, begun } = line;
    line.end();
    line.leave();
    if (request !== undefined) {
      this.#exchanges.get(request)?.refuse(new ClientFault(status));
    } else if (begun) {
      refuse(socket, status, this.#options.idleTimeoutMs);
      const { host, client } = this.#visits.get(socket)!;
      this.#options.onRecord({
        ...{
          kind: 'http',
          host,
          client: client.address,
          method: undefined,
          path: undefined,
          version: undefined,
        },
        ...{ status, bytes: 0, durationMs: 0, error: undefined },
      });
    } else socket.destroySoon();
  }

  /** @returns `false`: it comes behind the last one that its connection is for */
  #begin(request: FrontRequest, response: FrontResponse): boolean {
    if (isHttp2(request)) return true;
    return this.#lines.get(request.socket as TLSSocket)?.begin(request, response as ServerResponse) ?? false;
  }

  /** Fields of an answer after which the connection ends; those of HTTP/2 go on. */
  #lastAnswer(request: FrontRequest): OutgoingHttpHeaders {
    if (isHttp2(request)) return {};
    this.#lines.get(request.socket as TLSSocket)?.end();
    return { connection: 'close' };
  }

  /** @param onChange the request asks for another protocol */
  #send(request: FrontRequest, visit: Visit, sender: Sender, onChange?: OnChange): Sent {
    const { backend, client } = visit;
    const headers = requestHeaders(request.headers, authorityOf(request, visit.addressed)!, client);
    const left = forwardsLeft(request);
    if (left !== undefined) headers['max-forwards'] = String(left - 1);
    const wish = onChange && { connection: 'Upgrade', upgrade: request.headers.upgrade };
    const outgoing: OutgoingRequest = {
      method: request.method!,
      target: targetOf(request),
      headers: { ...headers, ...wish },
      hasBody: hasBody(request),
      takesTrailers: takesTrailers(request.headers),
    };
    if (overHttp2(backend)) return this.#http2Backend(backend).send(outgoing, visit, sender);
    return sendHttp1(backend, outgoing, sender, (waiting) => this.#places.request(visit, waiting), onChange);
  }

  #http2Backend(backend: Backend): Http2Backend {
    const { backendTimeoutMs: timeoutMs, idleTimeoutMs } = this.#options;
    const known = this.#http2Backends.get(backend);
    if (known !== undefined) return known;
    const made = new Http2Backend(backend, { timeoutMs, idleTimeoutMs }, this.#places);
    this.#http2Backends.set(backend, made);
    return made;
  }

  async #upgrade(request: IncomingMessage, head: Buffer, visit: Visit): Promise<void> {
    const startedAt = performance.now();
    const socket = request.socket as TLSSocket;
    const ahead = Buffer.concat([head, this.#lines.get(socket)!.leave()]);
    this.#lines.delete(socket);
    const asks = request.method !== 'CONNECT' && asksForChange(request);
    const kind = asks ? 'upgrade' : 'http';
    const refused = refusedRequest(request, visit) ?? refusedUpgrade(request, overHttp2(visit.backend));
    if (refused !== undefined) {
      refuse(socket, refused, this.#options.idleTimeoutMs);
      this.#record(kind, request, visit, startedAt, { status: refused, bytes: 0, error: undefined });
      return;
    }
    const result = await upgrade(request, socket, ahead, {
      send: (sender, onChange) => this.#send(request, visit, sender, asks ? onChange : undefined),
      limits: this.#limits,
    });
    this.#record(kind, request, visit, startedAt, result);
  }

  #record(
    kind: RequestRecord['kind'],
    request: FrontRequest,
    { host, client }: Visit,
    startedAt: number,
    { status, bytes, error }: { status: number; bytes: number; error: Error | undefined },
  ): void {
    this.#options.onRecord({
      kind,
      host,
      client: client.address,
      method: escapePeerText(request.method ?? ''),
      path: escapePeerText(targetOf(request).split('?', 1)[0]!),
      status,
      bytes,
      durationMs: performance.now() - startedAt,
      version: `HTTP/${request.httpVersion}`,
      error: error && reasonOf(error),
    });
  }
}

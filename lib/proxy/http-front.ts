/** HTTP/1.1 and HTTP/2 with a client, over the TLS connections that are handed in; requests go to the host's backend. */
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { createServer as createHttp2Server, type Http2Server, type ServerHttp2Session } from 'node:http2';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { escapePeerText } from '../protocol/peer-text.ts';
import type { Backend } from './backend.ts';
import type { RequestRecord } from './events.ts';
import { Exchange, type Sent } from './exchange.ts';
import { reasonOf } from './failure.ts';
import { type FrontRequest, type FrontResponse, hasBody, isHttp2 } from './front-request.ts';
import { type Client, requestHeaders } from './headers.ts';
import { hostnameOf } from './host-names.ts';
import { quiet } from './quiet.ts';
import { authorityOf, refusedRequest, refusedUpgrade } from './refused-request.ts';
import { type OutgoingRequest, sendHttp1 } from './send-http1.ts';
import { Http2Backend } from './send-http2.ts';
import { upgrade } from './upgrade.ts';

/** What is known of a connection when TLS is through. */
export interface Visit {
  readonly host: string;
  readonly backend: Backend;
  readonly client: Client;
  /** Whether this connection may ask for that name: another's certificate was not shown to it. */
  mayAskFor(name: string): boolean;
}

export interface HttpFrontOptions {
  readonly backendTimeoutMs: number;
  readonly idleTimeoutMs: number;
  onRecord(record: RequestRecord): void;
}

const MAX_STREAMS = 128;
const MISDIRECTED = 421;
const NOT_IMPLEMENTED = 501;

export class HttpFront {
  readonly #options: HttpFrontOptions;
  readonly #http1: Server;
  readonly #http2: Http2Server;
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #http2Backends = new Map<Backend, Http2Backend>();
  /** By socket for HTTP/1.1, by session for HTTP/2, which hides its socket. */
  readonly #visits = new WeakMap<object, Visit>();
  /** Connections of HTTP/1.1 without a request under way. */
  readonly #idle = new Set<TLSSocket>();
  /** Whose connection is being handed to HTTP/2. */
  #arriving: Visit | undefined;
  #closing = false;

  constructor(options: HttpFrontOptions) {
    this.#options = options;
    this.#http1 = createServer((request, response) => this.#serve(request, response));
    this.#http1.keepAliveTimeout = options.idleTimeoutMs;
    this.#http1.timeout = options.idleTimeoutMs;
    // All fields or none: Node leaves out those after the 2,000th, which a head of 16 KB can have.
    this.#http1.maxHeadersCount = 0;
    // It listens nowhere itself; with this it watches over connections that send their requests too slowly.
    this.#http1.emit('listening');
    this.#http1.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
    this.#http2 = createHttp2Server(
      { settings: { maxConcurrentStreams: MAX_STREAMS } },
      (request, response) => this.#serve(request, response),
    );
    this.#http2.setTimeout(options.idleTimeoutMs);
    this.#http2.on('session', (session) => {
      this.#visits.set(session, this.#arriving!);
      this.#sessions.add(session);
      session.on('close', () => this.#sessions.delete(session));
    });
    // An error of one client's session is that client's; its streams tell theirs.
    this.#http2.on('sessionError', () => undefined);
  }

  /** Serves a connection whose TLS is through. */
  take(socket: TLSSocket, visit: Visit): void {
    this.#visits.set(socket, visit);
    if (socket.alpnProtocol !== 'h2') {
      this.#idle.add(socket);
      socket.on('close', () => this.#idle.delete(socket));
      this.#http1.emit('connection', socket);
      return;
    }
    this.#arriving = visit;
    this.#http2.emit('connection', socket);
    this.#arriving = undefined;
  }

  /** Answers under way are finished; kept connections are closed, and others after their answer. */
  drain(): void {
    this.#closing = true;
    for (const socket of this.#idle) socket.destroySoon();
    for (const session of this.#sessions) session.close();
  }

  close(): void {
    // Ends the watch; that it does not listen is no error here.
    this.#http1.close(() => undefined);
    for (const backend of this.#http2Backends.values()) backend.close();
  }

  #visitOf(request: FrontRequest): Visit {
    const key = isHttp2(request) ? request.stream.session : request.socket;
    return this.#visits.get(key!)!;
  }

  /** @returns the status of a request that goes nowhere; `undefined`: it may go */
  #refusal(request: FrontRequest, visit: Visit): number | undefined {
    const refused = refusedRequest(request);
    if (refused !== undefined) return refused;
    const name = hostnameOf(authorityOf(request));
    return visit.mayAskFor(name ?? '') ? undefined : MISDIRECTED;
  }

  async #serve(request: FrontRequest, response: FrontResponse): Promise<void> {
    const [startedAt, visit] = [performance.now(), this.#visitOf(request)];
    this.#watchIdle(request, response);
    const refused = this.#refusal(request, visit);
    if (refused !== undefined) {
      const close = isHttp2(request) ? {} : { connection: 'close' };
      (response as import('node:http').ServerResponse).writeHead(refused, { 'content-length': 0, ...close });
      response.end();
      this.#record('http', request, visit, startedAt, { status: refused, bytes: 0, error: undefined });
      return;
    }
    const result = await new Exchange(request, response, {
      send: () => this.#send(request, visit),
      timeoutMs: this.#options.backendTimeoutMs,
      closing: () => this.#closing,
    }).run();
    this.#record('http', request, visit, startedAt, result);
  }

  #watchIdle(request: FrontRequest, response: FrontResponse): void {
    if (isHttp2(request)) return;
    const socket = request.socket as TLSSocket;
    this.#idle.delete(socket);
    response.on('close', () => {
      if (this.#closing) socket.destroySoon();
      else if (!socket.destroyed) this.#idle.add(socket);
    });
  }

  #send(request: FrontRequest, { backend, client }: Visit): Sent {
    const outgoing: OutgoingRequest = {
      method: request.method!,
      target: request.url!,
      headers: requestHeaders(request.headers, authorityOf(request)!, client),
      hasBody: hasBody(request),
    };
    if (backend.protocol !== 'h2' && backend.protocol !== 'h2c') return sendHttp1(backend, outgoing);
    let http2 = this.#http2Backends.get(backend);
    if (http2 === undefined) {
      http2 = new Http2Backend(backend);
      this.#http2Backends.set(backend, http2);
    }
    return http2.send(outgoing);
  }

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const [startedAt, visit] = [performance.now(), this.#visitOf(request)];
    const { backend, client } = visit;
    this.#idle.delete(request.socket as TLSSocket);
    const overHttp2 = backend.protocol === 'h2' || backend.protocol === 'h2c';
    const refused =
      this.#refusal(request, visit) ??
      refusedUpgrade(request) ??
      (overHttp2 || hasBody(request) ? NOT_IMPLEMENTED : undefined);
    if (refused !== undefined) {
      quiet(socket);
      socket.end(`HTTP/1.1 ${refused} \r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
      this.#record('upgrade', request, visit, startedAt, { status: refused, bytes: 0, error: undefined });
      return;
    }
    const result = await upgrade(request, socket, head, {
      backend,
      headers: requestHeaders(request.headers, authorityOf(request)!, client),
      timeoutMs: this.#options.backendTimeoutMs,
      idleTimeoutMs: this.#options.idleTimeoutMs,
    });
    this.#record('upgrade', request, visit, startedAt, result);
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
      path: escapePeerText((request.url ?? '').split('?', 1)[0]!),
      status,
      bytes,
      durationMs: performance.now() - startedAt,
      version: `HTTP/${request.httpVersion}`,
      error: error && reasonOf(error),
    });
  }
}

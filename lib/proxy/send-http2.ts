/** Requests to a backend over HTTP/2: one session for each backend, opened when it is needed and when it is gone. */
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  type IncomingHttpHeaders,
} from 'node:http2';
import { type Backend, connectBackend } from './backend.ts';
import type { AnswerHead, Sent } from './exchange.ts';
import { endToEnd } from './headers.ts';
import type { OutgoingRequest } from './send-http1.ts';

function headOf(
  stream: ClientHttp2Stream,
  headers: IncomingHttpHeaders,
  trailers: IncomingHttpHeaders,
): AnswerHead {
  const status = Number((headers as Record<string, unknown>)[':status']);
  return { status, headers: endToEnd(headers), body: stream, trailers: () => endToEnd(trailers) };
}

function answerOf(stream: ClientHttp2Stream): Promise<AnswerHead> {
  const trailers: IncomingHttpHeaders = {};
  stream.on('trailers', (fields) => Object.assign(trailers, fields));
  return new Promise((resolve, reject) => {
    stream.on('response', (headers) => resolve(headOf(stream, headers, trailers)));
    stream.on('error', reject);
    stream.on('close', () => reject(new Error('closed without an answer')));
  });
}

export class Http2Backend {
  readonly #backend: Backend;
  #session: ClientHttp2Session | undefined;

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  send({ method, target, headers, hasBody, takesTrailers }: OutgoingRequest): Sent {
    const { host, ...rest } = headers;
    const pseudo = {
      ':method': method,
      ':path': target,
      ':scheme': this.#scheme,
      ':authority': String(host),
    };
    const te = takesTrailers ? { te: 'trailers' } : {};
    const stream = this.#open().request({ ...rest, ...te, ...pseudo }, { endStream: !hasBody });
    return { body: stream, answer: answerOf(stream), destroy: () => stream.destroy() };
  }

  close(): void {
    this.#session?.close();
  }

  get #scheme(): string {
    return this.#backend.protocol === 'h2' ? 'https' : 'http';
  }

  #open(): ClientHttp2Session {
    const { host, port } = this.#backend;
    if (this.#session === undefined || this.#session.closed || this.#session.destroyed) {
      const session = connect(`${this.#scheme}://${host.includes(':') ? `[${host}]` : host}:${port}`, {
        createConnection: () => connectBackend(this.#backend),
      });
      // Each stream tells its own error; a session that said goodbye takes no more.
      session.on('error', () => this.#forget(session)).on('goaway', () => this.#forget(session));
      session.on('close', () => this.#forget(session));
      session.unref();
      this.#session = session;
    }
    return this.#session;
  }

  #forget(session: ClientHttp2Session): void {
    if (this.#session === session) this.#session = undefined;
  }
}

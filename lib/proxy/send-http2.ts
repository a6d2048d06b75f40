/** A request to a backend over HTTP/2. */
import {
  type ClientHttp2Stream,
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2';
import type { Backend } from './backend.ts';
import { type BackendSession, type BackendSessionOptions, schemeOf } from './backend-session.ts';
import { BackendSessions } from './backend-sessions.ts';
import { type AnswerHead, type Sender, type Sent, StaleConnection } from './exchange.ts';
import { BackendTimeout } from './failure.ts';
import { endToEnd } from './headers.ts';
import { EARLY_HINTS, isIdempotent, type OutgoingRequest } from './send-http1.ts';

function headOf(
  stream: ClientHttp2Stream,
  headers: IncomingHttpHeaders,
  trailers: IncomingHttpHeaders,
): AnswerHead {
  const status = Number((headers as Record<string, unknown>)[':status']);
  return { status, headers: endToEnd(headers), body: stream, trailers: () => endToEnd(trailers) };
}

/**
 * RFC 9113 §8.7: the backend has not looked at it, also if that is what its GOAWAY says. Servers of Node.js reset with
 * ENHANCE_YOUR_CALM what comes before they have put away a stream that has ended: unseen, too, but that is no rule.
 */
function mayRepeat(method: string, code: number): boolean {
  const { NGHTTP2_REFUSED_STREAM, NGHTTP2_ENHANCE_YOUR_CALM } = constants;
  return code === NGHTTP2_REFUSED_STREAM || (code === NGHTTP2_ENHANCE_YOUR_CALM && isIdempotent(method));
}

function answerOf(
  stream: ClientHttp2Stream,
  method: string,
  resolve: (head: AnswerHead) => void,
  reject: (error: Error) => void,
): void {
  const trailers: IncomingHttpHeaders = {};
  const fail = (error: Error) =>
    reject(mayRepeat(method, stream.rstCode ?? 0) ? new StaleConnection() : error);
  stream
    .on('trailers', (fields) => Object.assign(trailers, fields))
    .on('response', (headers) => resolve(headOf(stream, headers, trailers)))
    .on('error', fail)
    .on('close', () => fail(new Error('closed without an answer')));
}

export class Http2Backend {
  readonly #scheme: string;
  readonly #sessions: BackendSessions;

  constructor(backend: Backend, options: BackendSessionOptions) {
    this.#scheme = schemeOf(backend);
    this.#sessions = new BackendSessions(backend, options);
  }

  /** @param owner the client's connection, for its share */
  send(outgoing: OutgoingRequest, owner: object, sender: Sender): Sent {
    const [fields, options] = [this.#fieldsOf(outgoing), { endStream: !outgoing.hasBody }];
    let stream: ClientHttp2Stream | undefined;
    let over: BackendSession | undefined;
    let leave = () => {};
    const answer = new Promise<AnswerHead>((resolve, reject) => {
      const start = (session: BackendSession) => {
        [stream, over] = [session.request(fields, options), session];
        answerOf(stream, outgoing.method, resolve, reject);
        stream.on('headers', (headers) => {
          if (Number(headers[':status']) === EARLY_HINTS) sender.passHints(headers);
        });
        sender.passBody(stream);
        return stream;
      };
      leave = this.#sessions.request(owner, { start, fail: reject });
    });
    const destroy = (error?: Error) => {
      leave();
      stream?.destroy();
      if (error instanceof BackendTimeout) over?.doubt();
    };
    return { answer, destroy };
  }

  close(): void {
    this.#sessions.close();
  }

  #fieldsOf({ method, target, headers, takesTrailers }: OutgoingRequest): OutgoingHttpHeaders {
    const { host, ...rest } = headers;
    return {
      ...rest,
      ...(takesTrailers ? { te: 'trailers' } : {}),
      ':method': method,
      ':path': target,
      ':scheme': this.#scheme,
      ':authority': String(host),
    };
  }
}

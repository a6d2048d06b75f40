/** A request to a backend over HTTP/2. */
import {
  type ClientHttp2Stream,
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2';
import type { Backend } from './backend.ts';
import type { BackendPlaces } from './backend-places.ts';
import { type BackendSession, type BackendSessionOptions, schemeOf } from './backend-session.ts';
import { BackendSessions } from './backend-sessions.ts';
import { type AnswerHead, type Sender, type Sent, StaleConnection } from './exchange.ts';
import { BackendTimeout, CutOff } from './failure.ts';
import { endToEnd } from './headers.ts';
import { EARLY_HINTS, isIdempotent, type OutgoingRequest } from './send-http1.ts';

function headOf(
  stream: ClientHttp2Stream,
  headers: IncomingHttpHeaders,
  trailers: IncomingHttpHeaders,
  isWhole: () => boolean,
): AnswerHead {
  const status = Number((headers as Record<string, unknown>)[':status']);
  return { status, headers: endToEnd(headers), body: stream, isWhole, trailers: () => endToEnd(trailers) };
}

/** Servers of Node.js reset so what they have not looked at, but that is no rule. */
const { NGHTTP2_ENHANCE_YOUR_CALM, NGHTTP2_CANCEL } = constants;

/** What a request is given by its backend. */
interface Heard {
  resolve(head: AnswerHead): void;
  reject(error: Error): void;
  isWhole(): boolean;
  /** Of a stream without an answer: `undefined`, it may not be sent again. */
  stale(): StaleConnection | undefined;
}

function listen(stream: ClientHttp2Stream, { resolve, reject, isWhole, stale }: Heard): void {
  const trailers: IncomingHttpHeaders = {};
  const fail = (error: Error) => reject((error instanceof BackendTimeout ? undefined : stale()) ?? error);
  stream
    .on('trailers', (fields) => Object.assign(trailers, fields))
    .on('response', (headers) => resolve(headOf(stream, headers, trailers, isWhole)))
    .on('error', fail)
    .on('close', () => fail(new CutOff()));
}

export class Http2Backend {
  readonly #scheme: string;
  readonly #sessions: BackendSessions;

  constructor(backend: Backend, options: BackendSessionOptions, places: BackendPlaces) {
    this.#scheme = schemeOf(backend);
    this.#sessions = new BackendSessions(backend, options, places);
  }

  /** @param owner the client's connection */
  send(outgoing: OutgoingRequest, owner: object, sender: Sender): Sent {
    const [fields, options] = [this.#fieldsOf(outgoing), { endStream: !outgoing.hasBody }];
    let stream: ClientHttp2Stream | undefined;
    let over: BackendSession | undefined;
    let leave = () => {};
    const answer = new Promise<AnswerHead>((resolve, reject) => {
      const start = (session: BackendSession) => {
        const kept = session.used;
        const asked = session.request(fields, options);
        [stream, over] = [asked, session];
        const isRefused = () => asked.rstCode === NGHTTP2_ENHANCE_YOUR_CALM;
        const mayBeUnseen = () => (kept && session.lost) || isRefused();
        const mayRepeat = () => session.hasRefused(asked) || (isIdempotent(outgoing.method) && mayBeUnseen());
        const stale = () =>
          mayRepeat() ? new StaleConnection(isRefused() && session.isAnswering) : undefined;
        listen(asked, { resolve, reject, isWhole: () => session.hasEnded(asked), stale });
        stream.on('headers', (headers) => {
          if (Number(headers[':status']) === EARLY_HINTS) sender.passHints(headers);
        });
        sender.passBody(stream);
      };
      leave = this.#sessions.request(owner, { start, fail: reject });
    });
    const destroy = (error?: Error) => {
      leave();
      // RFC 9113 §7: it is no longer needed; without this, Node.js would say that all is well.
      stream?.close(NGHTTP2_CANCEL);
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

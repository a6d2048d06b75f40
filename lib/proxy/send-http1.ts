/** A request to a backend over HTTP/1.1. */
import {
  type ClientRequest,
  request as httpRequest,
  type IncomingMessage,
  type OutgoingHttpHeaders,
} from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Socket } from 'node:net';
import { type Backend, tlsOptions } from './backend.ts';
import type { WaitingForPlace } from './backend-places.ts';
import { type AnswerHead, type Sender, type Sent, StaleConnection } from './exchange.ts';
import { endToEnd } from './headers.ts';
import { quiet } from './quiet.ts';

export interface OutgoingRequest {
  readonly method: string;
  /** Path and query, as the client sent them. */
  readonly target: string;
  readonly headers: OutgoingHttpHeaders;
  readonly hasBody: boolean;
  /** Said to backends of HTTP/2; over HTTP/1.1 trailers need no asking for. */
  readonly takesTrailers: boolean;
}

function headOf(message: IncomingMessage): AnswerHead {
  return {
    status: message.statusCode!,
    headers: endToEnd(message.headers),
    body: message,
    isWhole: () => message.complete,
    // Those of one connection would end the process if they were given to HTTP/2.
    trailers: () => endToEnd(message.trailers),
  };
}

/** RFC 9110 §9.2.2: what a proxy may send again, not knowing what became of it. */
const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);

export function isIdempotent(method: string): boolean {
  return IDEMPOTENT.has(method);
}

/** Errors of a connection that was kept and closed at the other end: nothing of the answer had come. */
function explained(error: NodeJS.ErrnoException, { reusedSocket, method }: ClientRequest): Error {
  const reset = error.code === 'ECONNRESET' || error.code === 'EPIPE';
  return reusedSocket && reset && isIdempotent(method) ? new StaleConnection() : error;
}

/** Starts one. @param agent `false`: on a connection of its own */
export function startHttp1(
  backend: Backend,
  { method, target, headers, hasBody }: OutgoingRequest,
  agent: Backend['agent'] | false = backend.agent,
): ClientRequest {
  const { protocol, host, port } = backend;
  // Methods without a body by habit get one only if it is announced: bytes that are not would be the next request.
  const chunked = hasBody && headers['content-length'] === undefined;
  const start = protocol === 'https' ? httpsRequest : httpRequest;
  const request = start({
    ...tlsOptions(backend),
    host,
    port,
    agent,
    method,
    path: target,
    headers: chunked ? { ...headers, 'transfer-encoding': 'chunked' } : headers,
    setHost: false,
  });
  // As its client wrote it: `get` is another method than GET (RFC 9110 §9.1), which is what Node makes of it.
  request.method = method;
  request.maxHeadersCount = 0;
  request.on('socket', quiet);
  return request;
}

const SWITCHING_PROTOCOLS = 101;
export const EARLY_HINTS = 103;

/**
 * What cannot be passed on: a change to no protocol (101 without `Upgrade` is an answer to Node), and a body that is coded
 * as no client has asked for (`TE` is not passed on), which would be taken for something else.
 */
function faultIn({ statusCode, headers }: IncomingMessage): Error | undefined {
  if (statusCode === SWITCHING_PROTOCOLS) return new Error('a change to no protocol');
  const coding = headers['transfer-encoding'];
  if (coding === undefined || coding.toLowerCase() === 'chunked') return undefined;
  return new Error('a transfer coding that nobody asked for');
}

/** The backend has changed to another protocol; the connection is the listener's. */
export type OnChange = (message: IncomingMessage, socket: Socket, head: Buffer) => void;

/** Empty elements of a list are none (RFC 9110 §5.6.1.2). */
function protocolsIn(upgrade: unknown): readonly string[] {
  const elements = String(upgrade ?? '').split(',');
  return elements.map((protocol) => protocol.trim().toLowerCase()).filter((protocol) => protocol !== '');
}

/** RFC 9110 §7.8: to nothing that its client has not named. */
function isAsked({ headers }: IncomingMessage, { headers: { upgrade } }: OutgoingRequest): boolean {
  const [asked, chosen] = [protocolsIn(upgrade), protocolsIn(headers.upgrade)];
  return chosen.length > 0 && chosen.every((protocol) => asked.includes(protocol));
}

/** What a request is given by its backend. */
interface Heard {
  resolve(head: AnswerHead): void;
  reject(error: Error): void;
}

function listen(
  request: ClientRequest,
  outgoing: OutgoingRequest,
  sender: Sender,
  { resolve, reject }: Heard,
  onChange: OnChange | undefined,
): void {
  let body: IncomingMessage | undefined;
  request.on('response', (message) => {
    const fault = faultIn(message);
    if (fault === undefined) {
      body = message;
      return resolve(headOf(message));
    }
    request.destroy();
    reject(fault);
  });
  request.on('error', (error) => {
    // A body that ends with its connection would end here, too, as if it were whole.
    if (body?.complete === false) body.destroy(error);
    reject(explained(error, request));
  });
  request.on('information', ({ statusCode, headers }) => {
    if (statusCode === EARLY_HINTS) sender.passHints(headers);
  });
  request.on('upgrade', (message, socket, head) => {
    if (onChange !== undefined && isAsked(message, outgoing)) return onChange(message, socket, head);
    socket.destroy();
    reject(new Error('an upgrade that nobody asked for'));
  });
}

/**
 * @param enter waits for a connection. @returns ends the waiting
 * @param onChange of one with an `Upgrade` of its own, which has a connection of its own
 */
export function sendHttp1(
  backend: Backend,
  outgoing: OutgoingRequest,
  sender: Sender,
  enter: (waiting: WaitingForPlace) => () => void,
  onChange?: OnChange,
): Sent {
  let request: ClientRequest | undefined;
  let leave = () => {};
  const answer = new Promise<AnswerHead>((resolve, reject) => {
    const start = (giveBack: () => void) => {
      request = startHttp1(backend, outgoing, onChange === undefined ? backend.agent : false);
      listen(request, outgoing, sender, { resolve, reject }, onChange);
      sender.passBody(request);
      request.once('close', giveBack);
    };
    leave = enter({ start, fail: reject });
  });
  const destroy = (error?: Error) => {
    leave();
    request?.destroy(error);
  };
  return { answer, destroy };
}

/** What goes wrong between a proxy and a backend, and what the client is told: a status, and no detail. */
import { escapePeerText } from '../protocol/peer-text.ts';

export class BackendTimeout extends Error {}

/** A backend has ended before its answer; as node:http names it. */
export class CutOff extends Error {
  readonly code = 'ECONNRESET';
}

/** What a client has done wrong: nobody else's failure. */
export class ClientFault extends Error {
  readonly status: number;

  constructor(status: number) {
    super();
    this.status = status;
  }
}

/** It does not go on with its request, or does not read its answer (RFC 9110 §15.5.9). */
export class ClientStalled extends ClientFault {
  constructor() {
    super(408);
  }
}

/** The client has gone before its answer: nobody's failure. */
export class ClientGone extends Error {}

/** In the log, of a request whose client has gone; no client is told. */
export const CLIENT_GONE = 499;

const TIMED_OUT = new Set(['ETIMEDOUT', 'ERR_SOCKET_CONNECTION_TIMEOUT']);

/** 504: it took too long; 502: anything else (RFC 9110 §15.6) that is not the client's fault. */
export function statusOf(error: Error): number {
  if (error instanceof ClientFault) return error.status;
  const { code = '' } = error as NodeJS.ErrnoException;
  return error instanceof BackendTimeout || TIMED_OUT.has(code) ? 504 : 502;
}

/** For the operator's log: a code where there is one, as messages may hold a peer's text. */
export function reasonOf(error: Error): string {
  if (error instanceof BackendTimeout) return 'timeout';
  return (error as NodeJS.ErrnoException).code ?? error.name;
}

const FRAME = /(?<=^ {3}) at .+/m;

/** What nobody thought of, and where it was thrown. */
export function faultText(error: Error): string {
  return escapePeerText(`${reasonOf(error)}${FRAME.exec(error.stack ?? '')?.[0] ?? ''}`);
}

const BAD_REQUEST = 400;
/** As node:http answers without a listener. */
const UNREAD_STATUS: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 413,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
};

/** Of a request that Node's parser does not take, or has not got in time. @returns `undefined`: the connection has failed */
export function statusOfUnread({ code = '' }: NodeJS.ErrnoException): number | undefined {
  return UNREAD_STATUS[code] ?? (code.startsWith('HPE_') ? BAD_REQUEST : undefined);
}

/** What goes wrong between a proxy and a backend, and what the client is told: a status, and no detail. */

export class BackendTimeout extends Error {}

/** The client does not go on with its request, or does not read its answer: nobody else's failure. */
export class ClientStalled extends Error {}

/** The client has gone before its answer: nobody's failure. */
export class ClientGone extends Error {}

/** In the log, of a request whose client has gone; no client is told. */
export const CLIENT_GONE = 499;

const TIMED_OUT = new Set(['ETIMEDOUT', 'ERR_SOCKET_CONNECTION_TIMEOUT']);

/** 504: it took too long; 408: the client did (RFC 9110 §15.5.9); 502: anything else (RFC 9110 §15.6). */
export function statusOf(error: Error): 408 | 502 | 504 {
  if (error instanceof ClientStalled) return 408;
  const { code = '' } = error as NodeJS.ErrnoException;
  return error instanceof BackendTimeout || TIMED_OUT.has(code) ? 504 : 502;
}

/** For the operator's log: a code where there is one, as messages may hold a peer's text. */
export function reasonOf(error: Error): string {
  if (error instanceof BackendTimeout) return 'timeout';
  return (error as NodeJS.ErrnoException).code ?? error.name;
}

/**
 * Requests that go nowhere: two parsers could read them differently (RFC 9112 §11.2), or this proxy cannot do what they
 * ask. What Node's own parser refuses does not come this far.
 */
import type { IncomingMessage } from 'node:http';
import { type FrontRequest, isHttp2 } from './front-request.ts';

const BAD_REQUEST = 400;
const NOT_IMPLEMENTED = 501;
const VERSION_NOT_SUPPORTED = 505;

/** What a connection without HTTP/2 speaks; Node's parser reads 0.9 and 2.0 there too. */
const VERSIONS: ReadonlySet<string> = new Set(['1.0', '1.1']);

/** Whom a request is for, as the client wrote it. */
export function authorityOf(request: FrontRequest): string | undefined {
  const pseudo = isHttp2(request) ? request.authority : undefined;
  return pseudo || request.headers.host;
}

/** RFC 9112 §3.2.1 and §3.2.4; a fragment is never sent (RFC 9110 §7.1). */
function hasTarget({ method, url = '' }: FrontRequest): boolean {
  return (url.startsWith('/') && !url.includes('#')) || (url === '*' && method === 'OPTIONS');
}

/** RFC 9112 §3.2 (one `Host`) and §6.1 (a coding that is passed on must be known; HTTP/1.0 has none). */
function refusedFraming({ headers, headersDistinct, httpVersionMinor }: IncomingMessage): number | undefined {
  if (headersDistinct.host?.length !== 1) return BAD_REQUEST;
  const coding = headers['transfer-encoding'];
  if (coding === undefined) return undefined;
  if (httpVersionMinor === 0) return BAD_REQUEST;
  return coding.toLowerCase() === 'chunked' ? undefined : NOT_IMPLEMENTED;
}

/** @returns the status of a request that goes nowhere; `undefined`: it may go */
export function refusedRequest(request: FrontRequest): number | undefined {
  if (!isHttp2(request) && !VERSIONS.has(request.httpVersion)) return VERSION_NOT_SUPPORTED;
  if (request.method === 'CONNECT' || request.method === 'TRACE') return NOT_IMPLEMENTED;
  if (!hasTarget(request) || authorityOf(request) === undefined) return BAD_REQUEST;
  return isHttp2(request) ? undefined : refusedFraming(request);
}

/** Another version of HTTP, or TLS: the requests within would pass this proxy unseen. */
const ANOTHER_HTTP = /(?:^|,)\s*(?:h2c?\b|http\/|tls\/)/i;

/** @returns the status of an upgrade that goes nowhere; `undefined`: it may go */
export function refusedUpgrade({ headers }: IncomingMessage): number | undefined {
  return ANOTHER_HTTP.test(headers.upgrade ?? '') ? NOT_IMPLEMENTED : undefined;
}

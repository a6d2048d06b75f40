/**
 * Requests that go nowhere: two parsers could read them differently (RFC 9112 §11.2), or this proxy cannot do what they
 * ask. What Node's own parser refuses does not come this far.
 */
import type { IncomingMessage } from 'node:http';
import { type FrontRequest, hasBody, isHttp2 } from './front-request.ts';
import { hostnameOf } from './host-names.ts';

const OK = 200;
const BAD_REQUEST = 400;
const MISDIRECTED = 421;
const NOT_IMPLEMENTED = 501;
const VERSION_NOT_SUPPORTED = 505;

/** However they are written: another method `trace` nobody has, and a backend may not mind the case. */
const NOT_PASSED_ON: ReadonlySet<string> = new Set(['CONNECT', 'TRACE']);

/** What a connection without HTTP/2 speaks; Node's parser reads 0.9 and 2.0 there too. */
const VERSIONS: ReadonlySet<string> = new Set(['1.0', '1.1']);

/** RFC 9112 §3.2.2. */
const ABSOLUTE_FORM = /^(?<scheme>[a-z][a-z\d+.-]*):\/\/(?<authority>[^/?#]*)(?<rest>.*)$/is;

/** `undefined`: the target names no authority; a `:path` never does. */
function absoluteForm(
  request: FrontRequest,
): { scheme: string; authority: string; rest: string } | undefined {
  if (isHttp2(request) || request.url!.startsWith('/')) return undefined;
  return ABSOLUTE_FORM.exec(request.url!)?.groups as ReturnType<typeof absoluteForm>;
}

/**
 * Whom a request is for, as the client wrote it: in its target, or else by its `Host`, which HTTP/1.0 knows nothing of.
 *
 * @param addressed whom its connection is for (RFC 9112 §3.3)
 */
export function authorityOf(request: FrontRequest, addressed: string): string | undefined {
  const named = isHttp2(request) ? request.authority : absoluteForm(request)?.authority;
  return named || (request.headers.host ?? (request.httpVersion === '1.0' ? addressed : undefined));
}

/** What is asked for there: path and query, or `*`, as a server is asked that is no proxy (RFC 9112 §3.2.1, §3.2.4). */
export function targetOf(request: FrontRequest): string {
  const rest = absoluteForm(request)?.rest;
  if (rest === undefined) return request.url ?? '';
  if (rest === '') return request.method === 'OPTIONS' ? '*' : '/';
  return rest.startsWith('?') ? `/${rest}` : rest;
}

/** A fragment is never sent (RFC 9110 §7.1). */
function hasTarget(request: FrontRequest): boolean {
  const target = targetOf(request);
  return (
    (target.startsWith('/') && !target.includes('#')) || (target === '*' && request.method === 'OPTIONS')
  );
}

/** Another scheme than that of this connection is not ours to answer for (RFC 9110 §7.4), nor is nobody. */
function isMisdirected(request: FrontRequest): boolean {
  if (isHttp2(request)) return request.scheme.toLowerCase() !== 'https';
  const { scheme, authority } = absoluteForm(request) ?? {};
  return scheme !== undefined && (scheme.toLowerCase() !== 'https' || authority === '');
}

/** RFC 9112 §3.2: one, also where it does not count; empty where the target names nobody. HTTP/1.0 need not have one. */
function hasValidHost({ headersDistinct: { host = [] }, httpVersion }: IncomingMessage): boolean {
  if (host.length === 0) return httpVersion === '1.0';
  return host.length === 1 && (host[0] === '' || hostnameOf(host[0]) !== undefined);
}

/** RFC 9112 §6.1: a coding that is passed on must be known; HTTP/1.0 has none. */
function refusedFraming(request: IncomingMessage): number | undefined {
  if (!hasValidHost(request)) return BAD_REQUEST;
  const { headers, httpVersionMinor } = request;
  const coding = headers['transfer-encoding'];
  if (coding === undefined) return undefined;
  if (httpVersionMinor === 0) return BAD_REQUEST;
  return coding.toLowerCase() === 'chunked' ? undefined : NOT_IMPLEMENTED;
}

/** Of `OPTIONS` (RFC 9110 §7.6.2), whether it may go to anybody else; `undefined`: it says nothing. */
export function forwardsLeft({ method, headers }: FrontRequest): number | undefined {
  const text = method === 'OPTIONS' ? headers['max-forwards'] : undefined;
  return /^\d{1,9}$/.test(String(text)) ? Number(text) : undefined;
}

/** Of the connection that a request comes over. */
export interface Addressed {
  /** The name that TLS was told, or else the address. */
  readonly addressed: string;
  /** Whether it may ask for that name: another's certificate was not shown to it. */
  mayAskFor(name: string): boolean;
}

/** @returns the status of a request that goes nowhere; `undefined`: it may go */
export function refusedRequest(
  request: FrontRequest,
  { addressed, mayAskFor }: Addressed,
): number | undefined {
  if (!isHttp2(request) && !VERSIONS.has(request.httpVersion)) return VERSION_NOT_SUPPORTED;
  if (NOT_PASSED_ON.has(request.method!.toUpperCase())) return NOT_IMPLEMENTED;
  if (isMisdirected(request)) return MISDIRECTED;
  const name = hostnameOf(authorityOf(request, addressed));
  if (!hasTarget(request) || name === undefined) return BAD_REQUEST;
  const refused = isHttp2(request) ? undefined : refusedFraming(request);
  if (refused !== undefined) return refused;
  if (!mayAskFor(name)) return MISDIRECTED;
  return forwardsLeft(request) === 0 ? OK : undefined;
}

/** Another version of HTTP, or TLS: the requests within would pass this proxy unseen. */
const ANOTHER_HTTP = /(?:^|,)\s*(?:h2c?\b|http\/|tls\/)/i;

/** In HTTP/1.0 the field says nothing (RFC 9110 §7.8). */
export function asksForChange({ httpVersion }: IncomingMessage): boolean {
  return httpVersion !== '1.0';
}

/** @returns the status of a request with `Upgrade` that goes nowhere; `undefined`: it may go */
export function refusedUpgrade(request: IncomingMessage, overHttp2: boolean): number | undefined {
  // Node's parser leaves it unread.
  if (hasBody(request)) return NOT_IMPLEMENTED;
  if (!asksForChange(request)) return undefined;
  return overHttp2 || ANOTHER_HTTP.test(request.headers.upgrade ?? '') ? NOT_IMPLEMENTED : undefined;
}

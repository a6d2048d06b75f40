/** The header fields that a proxy passes on, leaves out, and adds (RFC 9110 §7.6). */
import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';

/** Of a message over HTTP/2: as many as Node's 64 KiB can hold, of which each takes 32 bytes and its own. */
export const MOST_FIELDS = 2048;

/** Between two neighbours only (RFC 9110 §7.6.1, RFC 9113 §8.2.2); `expect` was answered by this proxy. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'expect',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/**
 * What says where a request came from: what a client sends of these is not believed. With an underscore as well: in CGI
 * and what comes after it (WSGI, Rack, PHP) it is the same variable.
 */
const FORWARDED = /^(?:forwarded|x[-_]real[-_]ip|x[-_]forwarded(?:[-_].*)?)$/;

/** Fields that the sender's `Connection` names are between neighbours too. */
function namedByConnection(connection: string | undefined): ReadonlySet<string> {
  return new Set((connection ?? '').split(',').map((name) => name.trim().toLowerCase()));
}

/** Whether a field of such a message, by its name in small letters, concerns both ends. */
function passing({ connection }: IncomingHttpHeaders): (name: string) => boolean {
  const named = namedByConnection(connection);
  return (name) => !HOP_BY_HOP.has(name) && !named.has(name) && !name.startsWith(':');
}

/** The fields of a message that concern both ends; pseudo-header fields of HTTP/2 are none. */
export function endToEnd(headers: IncomingHttpHeaders): OutgoingHttpHeaders {
  const passes = passing(headers);
  const kept: OutgoingHttpHeaders = Object.create(null);
  for (const [name, value] of Object.entries(headers)) if (passes(name)) kept[name] = value;
  return kept;
}

/** Those of a message that changes the protocol, as they were written, and that it does; names and values in turn. */
export function changeFields({ headers, rawHeaders }: IncomingMessage): readonly string[] {
  const passes = passing(headers);
  const kept = ['Connection', 'Upgrade', 'Upgrade', headers.upgrade ?? ''];
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const [name, value] = rawHeaders.slice(index, index + 2) as [string, string];
    if (passes(name.toLowerCase())) kept.push(name, value);
  }
  return kept;
}

/**
 * Whether who sent a `TE` takes trailers (RFC 9110 §10.1.4). Over HTTP/2 the field may say that, and nothing else (RFC 9113
 * §8.2.2): servers of gRPC want to read it.
 */
export function takesTrailers({ te = '' }: IncomingHttpHeaders): boolean {
  return String(te)
    .split(',')
    .some((coding) => coding.trim().toLowerCase() === 'trailers');
}

/** Who asks. */
export interface Client {
  readonly address: string;
  readonly port: number;
  /** Whether what it says of those before it is believed: it is another proxy of the same owner. */
  readonly trusted: boolean;
}

/** A request's fields for its backend. @param authority as the client asked for it; it stays the `Host` */
export function requestHeaders(
  headers: IncomingHttpHeaders,
  authority: string,
  { address, trusted }: Client,
): OutgoingHttpHeaders {
  const sent = endToEnd(headers);
  const before = trusted && headers['x-forwarded-for'] ? `${headers['x-forwarded-for']}, ` : '';
  for (const name of Object.keys(sent)) if (FORWARDED.test(name)) delete sent[name];
  sent.host = authority;
  sent['x-forwarded-for'] = `${before}${isIP(address) === 0 ? 'unknown' : address}`;
  sent['x-forwarded-host'] = authority;
  sent['x-forwarded-proto'] = 'https';
  return sent;
}

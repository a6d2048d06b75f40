/** A client's request, of either version of HTTP. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';

export type FrontRequest = IncomingMessage | Http2ServerRequest;
export type FrontResponse = ServerResponse | Http2ServerResponse;

/** Requests that are under way at once on a client's connection of HTTP/2. */
export const MAX_STREAMS = 128;

/** By what carries it, never by the version it names: that is text, which a client of HTTP/1.1 writes as it likes. */
export function isHttp2(request: FrontRequest): request is Http2ServerRequest {
  return 'stream' in request;
}

/** RFC 9112 §6.3, RFC 9113 §8.1.1: whether a body follows a head. */
export function hasBody(request: FrontRequest): boolean {
  if (isHttp2(request)) return !request.stream.endAfterHeaders;
  const { 'content-length': length = 0, 'transfer-encoding': coding } = request.headers;
  return coding !== undefined || Number(length) > 0;
}

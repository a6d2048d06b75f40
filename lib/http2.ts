/** node:http2 with PrivateKey objects as `key`. What the functions return are Node's own objects. */
import http2 from 'node:http2';
import { installEngine } from './engine/hook.ts';
import { type AcceptsKeys, acceptKeys, sealArguments, sealServerArguments } from './engine/server-options.ts';

installEngine();

export type SecureServerOptions = AcceptsKeys<http2.SecureServerOptions>;
export type SecureClientSessionOptions = AcceptsKeys<http2.SecureClientSessionOptions>;

type OnRequest = (request: http2.Http2ServerRequest, response: http2.Http2ServerResponse) => void;
type OnConnect = (session: http2.ClientHttp2Session, socket: import('node:tls').TLSSocket) => void;

/** As http2.createSecureServer. */
export function createSecureServer(onRequest?: OnRequest): http2.Http2SecureServer;
export function createSecureServer(
  options: SecureServerOptions,
  onRequest?: OnRequest,
): http2.Http2SecureServer;
export function createSecureServer(...values: unknown[]): http2.Http2SecureServer {
  return acceptKeys(
    Reflect.apply(http2.createSecureServer, http2, sealServerArguments(values)) as http2.Http2SecureServer,
  );
}

/** As http2.connect. */
export function connect(authority: string | URL, listener?: OnConnect): http2.ClientHttp2Session;
export function connect(
  authority: string | URL,
  options?: SecureClientSessionOptions | http2.ClientSessionOptions,
  listener?: OnConnect,
): http2.ClientHttp2Session;
export function connect(...values: unknown[]): http2.ClientHttp2Session {
  return Reflect.apply(http2.connect, http2, sealArguments(values)) as http2.ClientHttp2Session;
}

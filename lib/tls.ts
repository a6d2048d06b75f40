/** node:tls with PrivateKey objects as `key`. What the functions return are Node's own objects. */
import tls from 'node:tls';
import { installEngine } from './engine/hook.ts';
import { sealOptions } from './engine/sealed-keys.ts';
import { type AcceptsKeys, acceptKeys, sealArguments, sealServerArguments } from './engine/server-options.ts';
import type { PrivateKey } from './keys/private-key.ts';

installEngine();

export type { AcceptsKeys } from './engine/server-options.ts';

/** node:tls's options, where `key` may be a PrivateKey, or an array of them beside an array of certificates. */
export type SecureContextOptions = AcceptsKeys<tls.SecureContextOptions>;
export type TlsOptions = AcceptsKeys<tls.TlsOptions>;
export type ConnectionOptions = AcceptsKeys<tls.ConnectionOptions>;
/** What `key` may be. */
export type Key = PrivateKey | tls.SecureContextOptions['key'] | readonly (PrivateKey | string | Buffer)[];

/** As tls.createServer; `setSecureContext` and `addContext` of the server take PrivateKey objects as well. */
export function createServer(listener?: (socket: tls.TLSSocket) => void): tls.Server;
export function createServer(options: TlsOptions, listener?: (socket: tls.TLSSocket) => void): tls.Server;
export function createServer(...values: unknown[]): tls.Server {
  return acceptKeys(Reflect.apply(tls.createServer, tls, sealServerArguments(values)) as tls.Server);
}

/** As tls.connect: the PrivateKey answers when the server asks for the client's certificate. */
export function connect(options: ConnectionOptions, listener?: () => void): tls.TLSSocket;
export function connect(
  port: number,
  host?: string,
  options?: ConnectionOptions,
  listener?: () => void,
): tls.TLSSocket;
export function connect(port: number, options?: ConnectionOptions, listener?: () => void): tls.TLSSocket;
export function connect(...values: unknown[]): tls.TLSSocket {
  return Reflect.apply(tls.connect, tls, sealArguments(values)) as tls.TLSSocket;
}

/** As tls.createSecureContext, for SNICallback, addContext and `new tls.TLSSocket`. */
export function createSecureContext(options?: SecureContextOptions): tls.SecureContext {
  return tls.createSecureContext(sealOptions(options) as tls.SecureContextOptions | undefined);
}

/** How options with PrivateKey objects reach Node's functions and servers. */
import type { Server } from 'node:tls';
import type { PrivateKey } from '../keys/private-key.ts';
import { sealOptions } from './sealed-keys.ts';

/** Options of Node's whose `key` may also be a PrivateKey, or an array with some. */
export type AcceptsKeys<T extends { key?: unknown }> = Omit<T, 'key'> & {
  key?: T['key'] | PrivateKey | readonly (PrivateKey | string | Buffer)[] | undefined;
};

/** Seals the options among a function's arguments; everything else is passed on as it is. */
export function sealArguments(values: readonly unknown[]): unknown[] {
  return values.map((value) => (isOptions(value) ? sealOptions(value) : value));
}

function isOptions(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !(value instanceof URL);
}

/** Makes a server's later options take PrivateKey objects too. */
export function acceptKeys<S extends Server>(server: S): S {
  const { setSecureContext, addContext } = server;
  override(server, 'setSecureContext', (options: unknown) =>
    Reflect.apply(setSecureContext, server, [sealOptions(options)]),
  );
  override(server, 'addContext', (hostname: string, context: unknown) =>
    Reflect.apply(addContext, server, [hostname, sealOptions(context)]),
  );
  return server;
}

function override(server: Server, name: 'setSecureContext' | 'addContext', value: unknown): void {
  Object.defineProperty(server, name, { value, configurable: true, enumerable: false, writable: true });
}

/** How options with PrivateKey objects reach Node's functions and servers. */
import type { Server } from 'node:tls';
import type { PrivateKey } from '../keys/private-key.ts';
import { tellsWhenRead } from './key-option.ts';
import { sealOptions } from './sealed-keys.ts';

/** Options of Node's whose `key` may also be a PrivateKey, or an array with some. */
export type AcceptsKeys<T extends { key?: unknown }> = Omit<T, 'key'> & {
  key?: T['key'] | PrivateKey | readonly (PrivateKey | string | Buffer)[] | undefined;
};

/** Seals the options among a function's arguments; everything else is passed on as it is. */
export function sealArguments(values: readonly unknown[]): unknown[] {
  return values.map((value) => (isOptions(value) ? sealOptions(value) : value));
}

/** As {@link sealArguments}, for what makes a server. */
export function sealServerArguments(values: readonly unknown[]): unknown[] {
  for (const value of values) if (isOptions(value)) warnWithoutKey(value);
  return sealArguments(values);
}

const KEY_OPTIONS = ['cert', 'key', 'pfx', 'privateKeyIdentifier'] as const;

/** Natively that is no error, and the handshakes that fail by it do not say why. */
function warnWithoutKey(options: object): void {
  if (KEY_OPTIONS.some((name) => tellsWhenRead(options, name))) return;
  const { cert, key, pfx, privateKeyIdentifier } = options as Record<string, unknown>;
  if (!cert || key || pfx || privateKeyIdentifier) return;
  process.emitWarning(
    'A server was given a certificate without its key: handshakes that need a signature will fail ' +
      '(ERR_SSL_NO_SUITABLE_SIGNATURE_ALGORITHM, ERR_SSL_NO_SHARED_CIPHER). Give it a "key": what connectKeyServers() or ' +
      'localKey() return, or the key itself.',
    { code: 'KEYLESS_TLS_NO_KEY' },
  );
}

function isOptions(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !(value instanceof URL);
}

/** Makes a server's later options take PrivateKey objects too. */
export function acceptKeys<S extends Server>(server: S): S {
  const { setSecureContext, addContext } = server;
  override(server, 'setSecureContext', (options: unknown) =>
    Reflect.apply(setSecureContext, server, sealServerArguments([options])),
  );
  override(server, 'addContext', (hostname: string, context: unknown) =>
    Reflect.apply(addContext, server, [hostname, ...sealServerArguments([context])]),
  );
  return server;
}

function override(server: Server, name: 'setSecureContext' | 'addContext', value: unknown): void {
  Object.defineProperty(server, name, { value, configurable: true, enumerable: false, writable: true });
}

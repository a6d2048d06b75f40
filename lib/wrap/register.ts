/**
 * `node --import keyless-tls/register app.js`: where the app gives TLS a stub for a key, the key servers of the
 * configuration sign; real keys stay native.
 */
import { replaceKeys } from '../engine/contexts.ts';
import { installEngine } from '../engine/hook.ts';
import { connectKeyServers, type KeyServers } from '../keys/key-servers.ts';
import type { PrivateKey } from '../keys/private-key.ts';
import { type Config, noConfig, readConfig } from './config.ts';
import { configVariables } from './config-environment.ts';
import { watchIdentity } from './identity.ts';
import { readStub, type Stub } from './stub.ts';
import { preloadThreads } from './threads.ts';

const directory = process.cwd();
// Whatever this process starts has the same, also in another directory.
Object.assign(process.env, configVariables(process.env, directory));
const config = readConfig(process.env, directory);
let keyServers: KeyServers | undefined;
let start: Promise<void> = Promise.resolve();
let isTaken = false;

/**
 * The configuration, which only stubs need: helpers that an app starts wherever it likes have none.
 *
 * @throws KeylessError ERR_KEYLESS_INVALID_ARGUMENT: there is none
 */
export function neededConfig(): Config {
  if (config === undefined) throw noConfig(directory);
  return config;
}

/** Connected with the first stub: a process without one has no business with key servers. */
function connected(): KeyServers {
  if (keyServers !== undefined) return keyServers;
  // Whether the app starts without key servers is decided here; its handshakes do not wait for them.
  const { startup, identityFiles, identitySeen, ...options } = neededConfig();
  const keys = connectKeyServers(options);
  watchIdentity(identityFiles, identitySeen, (identity) => keys.setCredentials(identity));
  keyServers = keys;
  if (startup === 'fail') {
    start = keys.ready();
    start.catch((error: unknown) => {
      if (isTaken) return;
      process.nextTick(() => {
        throw error;
      });
    });
  }
  return keys;
}

/** From here on, a start without key servers ends nothing: whoever calls this asks {@link startedUp}. */
export function takeStart(): void {
  isTaken = true;
}

/**
 * Resolves when a key server is ready; at once with `startup: 'wait'`, or before the first stub.
 *
 * @throws KeylessError ERR_KEYLESS_NO_KEY_SERVER
 */
export function startedUp(): Promise<void> {
  return start;
}

/** The key servers of this process, for its metrics; `undefined`: nothing has needed them. */
export function registeredKeyServers(): KeyServers | undefined {
  return keyServers;
}

/** By key id: the same object for the same stub, so that contexts may be pooled. */
const remote = new Map<string, PrivateKey>();

function remoteKey({ publicKey, keyId }: Stub): PrivateKey {
  const known = remote.get(keyId);
  if (known !== undefined) return known;
  const keys = connected();
  const { decrypt } = keys;
  const key: PrivateKey = {
    publicKey,
    timeoutMs: keys.timeoutMs,
    verify: keys.verify,
    sign: (operation) => keys.sign(operation),
    signAgain: (operation, refused) => keys.signAgain(operation, refused),
    onRefused: (operation, refused) => keys.onRefused(operation, refused),
    decrypt: decrypt && ((operation) => decrypt(operation)),
  };
  remote.set(keyId, key);
  return key;
}

/** As node:tls takes it: PEM, or PEM with its passphrase. */
function textOf(key: unknown): string | undefined {
  if (typeof key === 'string') return key;
  if (ArrayBuffer.isView(key))
    return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1');
  return typeof key === 'object' && key !== null && 'pem' in key ? textOf(key.pem) : undefined;
}

function replaced(key: unknown): unknown {
  const text = textOf(key);
  const stub = text === undefined ? undefined : readStub(text);
  return stub === undefined ? key : remoteKey(stub);
}

installEngine();
replaceKeys((key) => (Array.isArray(key) ? key.map(replaced) : replaced(key)));
preloadThreads(import.meta.url);

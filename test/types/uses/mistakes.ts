/** Wrong uses: each must be an error of the compiler. Compiled, never run. */
import {
  configureEngine,
  connect,
  connectKeyServers,
  createKeyServer,
  createServer,
  type EngineStats,
  engineStats,
  Handshake,
  type HandshakeState,
  KeylessError,
  localKey,
  type Operation,
  type PrivateKey,
} from 'keyless-tls';
import { createSecureServer } from 'keyless-tls/http2';
import { Agent, createServer as createHttpsServer, request } from 'keyless-tls/https';

declare const key: PrivateKey;
declare const operation: Operation;
declare const state: HandshakeState;
declare const pem: string;

// Keys that are none.
// @ts-expect-error a key without sign
createServer({ cert: pem, key: { decrypt: () => new Uint8Array() } });
// @ts-expect-error a number
createServer({ cert: pem, key: 1 });
// @ts-expect-error a function
createServer({ cert: pem, key: () => new Uint8Array() });
// @ts-expect-error an array with a number
createServer({ cert: pem, key: [key, 1] });
// @ts-expect-error a promise of a key
createServer({ cert: pem, key: Promise.resolve(key) });
// @ts-expect-error a certificate is not a key
createServer({ cert: key });
// @ts-expect-error not an option of node:tls
createServer({ cert: pem, key, minimumVersion: 'TLSv1.2' });
// @ts-expect-error not a version
createServer({ cert: pem, key, minVersion: 'TLSv1.4' });
// @ts-expect-error as with node:tls, a port is a number
connect('443', { key });
// @ts-expect-error https takes keys, not numbers
createHttpsServer({ cert: pem, key: 1 });
// @ts-expect-error nor does its agent
new Agent({ key: { sign: 'rsa' } });
// @ts-expect-error nor a request
request({ host: 'example.com', key: true });
// @ts-expect-error nor http2
createSecureServer({ cert: pem, key: {} });

// PrivateKeys that answer wrongly.
// @ts-expect-error a string is not bytes
export const text: PrivateKey = { sign: () => 'signature' };
// @ts-expect-error nor is a promise of one
export const later: PrivateKey = { sign: async () => 'signature' };
// @ts-expect-error nothing is not bytes
export const nothing: PrivateKey = { sign() {} };
// @ts-expect-error decrypt answers bytes, too
export const decrypt: PrivateKey = { sign: key.sign, decrypt: () => 48 };
// @ts-expect-error not a scheme
export const scheme: PrivateKey = { sign: key.sign, schemes: ['rsa'] };
// @ts-expect-error milliseconds are a number
export const timeoutMs: PrivateKey = { sign: key.sign, timeoutMs: '5s' };
// @ts-expect-error not a policy
export const verify: PrivateKey = { sign: key.sign, verify: 'sometimes' };
// @ts-expect-error sign takes no DecryptOperation
export const mixed: PrivateKey = { sign: ({ ciphertext }) => ciphertext };

// Operations.
// @ts-expect-error only a SignOperation has a message
operation.message;
// @ts-expect-error operations are read, not written
operation.deadline = 0;
// @ts-expect-error there is no such kind
operation.kind === 'verify';

// Errors.
// @ts-expect-error not a code
new KeylessError('ERR_KEYLESS_NONSENSE', 'why');
// @ts-expect-error a code that does not exist is never equal
new KeylessError('ERR_KEYLESS_STATE', 'why').code === 'ERR_KEYLESS_NONSENSE';

// The engine.
// @ts-expect-error a number
configureEngine({ maxPausedHandshakes: '10' });
// @ts-expect-error not a setting
configureEngine({ maxHandshakes: 10 });
// @ts-expect-error statistics are read, not written
(engineStats() as EngineStats).paused = 0;

// Key servers.
// @ts-expect-error without certificates
connectKeyServers({ servers: ['keys-1.internal'] });
// @ts-expect-error servers are an array
connectKeyServers({ servers: 'keys-1.internal', cert: pem, key: pem, ca: pem });
// @ts-expect-error without keys
createKeyServer({ cert: pem, key: pem, ca: pem });
// @ts-expect-error a key is not a key store
createKeyServer({ cert: pem, key: pem, ca: pem, keys: key });
// @ts-expect-error no PEM
localKey(1);

// The low level.
// @ts-expect-error without a role
new Handshake({ cert: pem });
// @ts-expect-error a Handshake has one side
new Handshake({ role: 'both' });
// @ts-expect-error not a state
state === 'WANT_VERIFY';
// @ts-expect-error bytes
new Handshake({ role: 'client' }).supply('signature');
// @ts-expect-error the state changes by itself
new Handshake({ role: 'client' }).state = 'DONE';

/** Correct uses of keys, key servers, errors and the low level. Compiled, never run. */
import { createPrivateKey, sign as nodeSign } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import {
  configureEngine,
  connectKeyServers,
  createKeyServer,
  createServer,
  type DecryptOperation,
  type EngineStats,
  ERROR_CODES,
  engineStats,
  Handshake,
  type HandshakeState,
  KeylessError,
  type KeylessErrorCode,
  type KeyServer,
  type KeyServers,
  type KeyStore,
  keyStoreOf,
  localKey,
  type Operation,
  type OperationResult,
  type PrivateKey,
  pemDirectory,
  pemKey,
  type SignatureScheme,
  type SignOperation,
  type StoredKey,
} from 'keyless-tls';

declare const pem: string;
declare const kms: { sign(id: string, bytes: Uint8Array, algorithm: SignatureScheme): Promise<Uint8Array> };

// The ten lines: an object literal, a class, sync and async, with and without decrypt.
const inPlace: PrivateKey = {
  sign: (operation) => nodeSign('sha256', operation.message, pem),
};
const remote: PrivateKey = {
  async sign({ keyId, message, scheme, signal, deadline, peerAddress, servername }) {
    signal.throwIfAborted();
    const leftMs: number = deadline - performance.now();
    const about: [string | undefined, string | undefined, number] = [peerAddress, servername, leftMs];
    return about[2] > 0 ? kms.sign(keyId.toString('hex'), message, scheme) : new Uint8Array();
  },
  schemes: ['rsa_pss_rsae_sha256', 'ecdsa_secp256r1_sha256'],
  timeoutMs: 2000,
  verify: 'always',
};
class TokenKey implements PrivateKey {
  readonly schemes = ['ed25519'] as const;
  readonly publicKey = new Uint8Array();
  readonly verify = 'never';
  sign(operation: SignOperation): Promise<Buffer> {
    return Promise.resolve(operation.message);
  }
  readonly decrypt = (operation: DecryptOperation): OperationResult =>
    operation.clientVersion === 0x0303 ? operation.ciphertext : Promise.resolve(new Uint8Array(48));
}
class MethodKey implements PrivateKey {
  sign(): Uint8Array {
    return new Uint8Array(64);
  }
  async decrypt({ ciphertext, certificate, role }: DecryptOperation): Promise<Uint8Array> {
    return role === 'server' ? ciphertext : certificate;
  }
}
createServer({ cert: 'PEM', key: [inPlace, remote, new TokenKey(), new MethodKey()] });

// Operations are told apart by `kind`.
function bytesOf(operation: Operation): Buffer {
  if (operation.kind === 'sign') return Buffer.concat([operation.message, Buffer.from(operation.scheme)]);
  return operation.ciphertext;
}

// Errors: `code` is a union, and a switch over it is checked.
function advice(error: unknown): string {
  if (!(error instanceof KeylessError)) return String(error);
  const code: KeylessErrorCode = error.code;
  switch (code) {
    case 'ERR_KEYLESS_TIMEOUT':
      return 'later';
    case 'ERR_KEYLESS_NO_KEY_SERVER':
      return String(error.cause);
    default:
      return ERROR_CODES[code];
  }
}
const timeout: 'The operation was not answered in time.' = ERROR_CODES.ERR_KEYLESS_TIMEOUT;

// Ready-made keys.
const keys: KeyServers = connectKeyServers({
  servers: ['keys-1.internal:2407', '[2001:db8::1]:2407'],
  cert: pem,
  key: Buffer.from(pem),
  ca: [pem, pem],
  decrypt: false,
  schemes: ['ed25519'],
});
createServer({ cert: pem, key: keys });
const healthy = keys.stats().servers.length;
const here: PrivateKey[] = [
  localKey(pem),
  localKey({ key: pem, passphrase: 'secret' }, { sync: true }),
  localKey(createPrivateKey(pem)),
];

// A key server.
const stored: StoredKey = pemKey(pem, 'www');
const store: KeyStore = { find: ({ keyId }) => (keyId?.length === 20 ? stored : undefined) };
const keyServer: KeyServer = createKeyServer({ cert: pem, key: pem, ca: pem, keys: store });
createKeyServer({ cert: pem, key: pem, ca: pem, keys: keyStoreOf([stored]), maxInFlight: 64 });
createKeyServer({ cert: pem, key: pem, ca: pem, keys: pemDirectory('/etc/keys') });
const answered: number = keyServer.stats().answered;
const closed: Promise<void> = keyServer.close();

// The engine.
configureEngine({ maxPausedHandshakes: 1000 });
configureEngine({});
const { paused, queued }: EngineStats = engineStats();

// The low level.
const handshake = new Handshake({
  role: 'server',
  cert: [pem],
  key: { schemes: ['ed25519'] },
  maxVersion: 'TLSv1.3',
});
let state: HandshakeState = handshake.feed(new Uint8Array());
const { operation } = handshake;
if (state === 'WANT_SIGN' && operation?.kind === 'sign') state = handshake.supply(operation.message);
if (state === 'WANT_DECRYPT') state = handshake.fail(new Error('no'));
if (state === 'FAILED') advice(handshake.error);
if (state === 'DONE') handshake.write(handshake.read());
const protocol: string = handshake.info.protocol;
const out: Buffer = handshake.drain();
handshake.close();

export const used = [bytesOf, timeout, healthy, here, answered, closed, paused, queued, protocol, out];
export type Address = AddressInfo;

/** A PrivateKey over a key in this very process: for tests and for comparison. */
import type { KeyObject } from 'node:crypto';
import { SIGNING_METHODS } from '../protocol/schemes.ts';
import { publicKeyDer } from '../signing/key-kind.ts';
import { rsaRawDecrypt } from '../signing/raw-rsa.ts';
import { signHere, signInPool } from '../signing/sign-message.ts';
import { openKey, type PrivateKeyInput } from './open-key.ts';
import type { DecryptOperation, OperationResult, PrivateKey, SignOperation } from './private-key.ts';

/** Options of {@link localKey}. */
export interface LocalKeyOptions {
  /** Of an encrypted PEM. */
  readonly passphrase?: string | Buffer | undefined;
  /** Answer at once, on the event loop, rather than on libuv's thread pool; default false. */
  readonly sync?: boolean | undefined;
  readonly schemes?: PrivateKey['schemes'];
  readonly timeoutMs?: PrivateKey['timeoutMs'];
  readonly verify?: PrivateKey['verify'];
}

class LocalKey implements PrivateKey {
  readonly publicKey: Buffer;
  readonly schemes: PrivateKey['schemes'];
  readonly timeoutMs: PrivateKey['timeoutMs'];
  readonly verify: PrivateKey['verify'];
  readonly decrypt: ((operation: DecryptOperation) => OperationResult) | undefined;
  readonly #key: KeyObject;
  readonly #sign: typeof signHere | typeof signInPool;

  constructor(key: KeyObject, options: LocalKeyOptions) {
    this.#key = key;
    this.#sign = options.sync === true ? signHere : signInPool;
    this.publicKey = publicKeyDer(key);
    this.schemes = options.schemes;
    this.timeoutMs = options.timeoutMs;
    this.verify = options.verify;
    // The raw block: the engine looks at its padding in constant time, which node:crypto does not promise.
    if (key.asymmetricKeyType === 'rsa') this.decrypt = ({ ciphertext }) => rsaRawDecrypt(key, ciphertext);
  }

  sign({ scheme, message }: SignOperation): OperationResult {
    return this.#sign(this.#key, SIGNING_METHODS[scheme], message);
  }
}

/**
 * A PrivateKey that signs here.
 *
 * @param key PEM, PEM with its passphrase, or a private KeyObject of RSA, RSA-PSS, EC, Ed25519 or Ed448
 * @throws KeylessError ERR_KEYLESS_INVALID_ARGUMENT for what is not a private key
 */
export function localKey(key: PrivateKeyInput, options: LocalKeyOptions = {}): PrivateKey {
  return new LocalKey(openKey('localKey', key, options.passphrase), options);
}

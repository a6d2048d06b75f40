/** A PrivateKey over a key in this very process: for tests and for comparison. */
import type { KeyObject } from 'node:crypto';
import { digestSigners } from '../engine/digest-signer.ts';
import { openKey, type PrivateKeyInput } from '../keys/open-key.ts';
import type { DecryptOperation, OperationResult, PrivateKey, SignOperation } from '../keys/private-key.ts';
import { SIGNING_METHODS, type SigningMethod } from '../protocol/schemes.ts';
import { publicKeyDer } from '../signing/key-kind.ts';
import { rsaRawDecrypt } from '../signing/raw-rsa.ts';
import { signHere, signInPool } from '../signing/sign-message.ts';

/** Options of {@link localKey}. */
export interface LocalKeyOptions {
  /** Of an encrypted PEM. */
  readonly passphrase?: string | Buffer | undefined;
  /** Answer at once, on the event loop, rather than on another thread; default false. */
  readonly sync?: boolean | undefined;
  readonly schemes?: PrivateKey['schemes'];
  readonly timeoutMs?: PrivateKey['timeoutMs'];
  readonly verify?: PrivateKey['verify'];
}

/** By the addon, as OpenSSL signs for node:tls, where it can. */
function signerHere(key: KeyObject): (method: SigningMethod, message: Uint8Array) => Uint8Array {
  const signerOf = digestSigners(key);
  return (method, message) => {
    const signer = signerOf(method);
    return signer === undefined ? signHere(key, method, message) : signer.signMessage(message);
  };
}

class LocalKey implements PrivateKey {
  readonly publicKey: Buffer;
  readonly schemes: PrivateKey['schemes'];
  readonly timeoutMs: PrivateKey['timeoutMs'];
  readonly verify: PrivateKey['verify'];
  readonly decrypt: ((operation: DecryptOperation) => OperationResult) | undefined;
  readonly #sign: (method: SigningMethod, message: Uint8Array) => OperationResult;

  constructor(key: KeyObject, options: LocalKeyOptions) {
    this.#sign =
      options.sync === true ? signerHere(key) : (method, message) => signInPool(key, method, message);
    this.publicKey = publicKeyDer(key);
    this.schemes = options.schemes;
    this.timeoutMs = options.timeoutMs;
    this.verify = options.verify;
    // The raw block: the engine looks at its padding in constant time, which node:crypto does not promise.
    if (key.asymmetricKeyType === 'rsa') this.decrypt = ({ ciphertext }) => rsaRawDecrypt(key, ciphertext);
  }

  sign({ scheme, message }: SignOperation): OperationResult {
    return this.#sign(SIGNING_METHODS[scheme], message);
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

/** A PrivateKey over a key in this very process: for tests, for comparison, and for what a key server does. */
import {
  constants,
  createHash,
  createPrivateKey,
  createPublicKey,
  KeyObject,
  privateDecrypt,
  privateEncrypt,
  sign,
} from 'node:crypto';
import { KeylessError } from '../errors.ts';
import type {
  DecryptOperation,
  OperationResult,
  PrivateKey,
  SignatureScheme,
  SignOperation,
} from './private-key.ts';

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

const HASHES: readonly string[] = ['sha224', 'sha256', 'sha384', 'sha512', 'sha1'];

function hashOf(scheme: SignatureScheme): string | undefined {
  return HASHES.find((hash) => scheme.endsWith(hash));
}

/** RSA over MD5 and SHA-1 without a DigestInfo (RFC 4346 §7.4.3), which node:crypto's sign does not do. */
function signMd5Sha1(key: KeyObject, message: Uint8Array): Buffer {
  const digests = ['md5', 'sha1'].map((hash) => createHash(hash).update(message).digest());
  return privateEncrypt({ key, padding: constants.RSA_PKCS1_PADDING }, Buffer.concat(digests));
}

function signInput(key: KeyObject, scheme: SignatureScheme) {
  if (!scheme.startsWith('rsa_pss')) return key;
  return { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
}

class LocalKey implements PrivateKey {
  readonly publicKey: Buffer;
  readonly schemes: PrivateKey['schemes'];
  readonly timeoutMs: PrivateKey['timeoutMs'];
  readonly verify: PrivateKey['verify'];
  readonly decrypt: ((operation: DecryptOperation) => OperationResult) | undefined;
  readonly #key: KeyObject;
  readonly #sync: boolean;

  constructor(key: KeyObject, options: LocalKeyOptions) {
    this.#key = key;
    this.#sync = options.sync === true;
    this.publicKey = createPublicKey(key).export({ type: 'spki', format: 'der' });
    this.schemes = options.schemes;
    this.timeoutMs = options.timeoutMs;
    this.verify = options.verify;
    if (key.asymmetricKeyType === 'rsa') this.decrypt = (operation) => this.#decrypt(operation);
  }

  sign({ scheme, message }: SignOperation): OperationResult {
    if (scheme === 'rsa_pkcs1_md5_sha1') return signMd5Sha1(this.#key, message);
    const input = signInput(this.#key, scheme);
    if (this.#sync) return sign(hashOf(scheme), message, input);
    return new Promise((resolve, reject) => {
      sign(hashOf(scheme), message, input, (error, signature) =>
        error ? reject(error) : resolve(signature),
      );
    });
  }

  /** The raw block: the engine looks at its padding in constant time, which node:crypto does not promise. */
  #decrypt({ ciphertext }: DecryptOperation): OperationResult {
    return privateDecrypt({ key: this.#key, padding: constants.RSA_NO_PADDING }, ciphertext);
  }
}

/**
 * A PrivateKey that signs here.
 *
 * @param key PEM, or a private KeyObject of RSA, RSA-PSS, EC, Ed25519 or Ed448
 * @throws KeylessError ERR_KEYLESS_INVALID_ARGUMENT for what is not a private key
 */
export function localKey(key: string | Buffer | KeyObject, options: LocalKeyOptions = {}): PrivateKey {
  if (key instanceof KeyObject) return new LocalKey(privateOnly(key), options);
  try {
    const passphrase = options.passphrase === undefined ? {} : { passphrase: options.passphrase };
    return new LocalKey(createPrivateKey({ key, format: 'pem', ...passphrase }), options);
  } catch (cause) {
    throw new KeylessError(
      'ERR_KEYLESS_INVALID_ARGUMENT',
      'localKey() needs a PEM private key (and its "passphrase" where it is encrypted).',
      { cause },
    );
  }
}

function privateOnly(key: KeyObject): KeyObject {
  if (key.type === 'private') return key;
  throw new KeylessError(
    'ERR_KEYLESS_INVALID_ARGUMENT',
    `localKey() needs a private key, not a ${key.type} one.`,
  );
}

/**
 * A key on its way from one process that holds keys to the next, through the app, which sees ciphertext only: X25519 with a key
 * for each sealing, HKDF-SHA-256, AES-256-GCM. It keeps keys out of the app's memory. It is no proof of who the other is: an app that
 * is taken over can have keys sealed for itself.
 */
import {
  createCipheriv,
  createDecipheriv,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
} from 'node:crypto';

const SPKI_BYTES = 44;
const TAG_BYTES = 16;
/** Each key of the cipher is used once. */
const NONCE = Buffer.alloc(12);
const CIPHER = 'aes-256-gcm';

function spkiOf(key: KeyObject): Buffer {
  return key.export({ type: 'spki', format: 'der' });
}

function publicKeyIn(spki: Buffer): KeyObject {
  return createPublicKey({ key: spki, format: 'der', type: 'spki' });
}

/** @param addresses of the sealing and of the process it is for */
function cipherKey(privateKey: KeyObject, publicKey: KeyObject, addresses: readonly Buffer[]): Buffer {
  const secret = diffieHellman({ privateKey, publicKey });
  const key = Buffer.from(
    hkdfSync('sha256', secret, Buffer.concat(addresses), 'keyless-tls isolate: a key', 32),
  );
  secret.fill(0);
  return key;
}

/** @param address as of {@link Seal} */
export function sealFor(address: Uint8Array, secret: Uint8Array): Buffer {
  const to = Buffer.from(address);
  const { privateKey, publicKey } = generateKeyPairSync('x25519');
  const from = spkiOf(publicKey);
  const key = cipherKey(privateKey, publicKeyIn(to), [from, to]);
  const cipher = createCipheriv(CIPHER, key, NONCE);
  const text = Buffer.concat([cipher.update(secret), cipher.final()]);
  key.fill(0);
  return Buffer.concat([from, cipher.getAuthTag(), text]);
}

/** What a process opens keys with that are sealed for it. */
export class Seal {
  readonly #privateKey: KeyObject;
  /** For {@link sealFor}: X25519, SPKI DER. */
  readonly address: Buffer;

  constructor() {
    const { privateKey, publicKey } = generateKeyPairSync('x25519');
    this.#privateKey = privateKey;
    this.address = spkiOf(publicKey);
  }

  /** @throws what node:crypto throws: it is not sealed for this one */
  open(sealed: Uint8Array): Buffer {
    const all = Buffer.from(sealed);
    const from = all.subarray(0, SPKI_BYTES);
    const key = cipherKey(this.#privateKey, publicKeyIn(from), [from, this.address]);
    const decipher = createDecipheriv(CIPHER, key, NONCE, { authTagLength: TAG_BYTES });
    decipher.setAuthTag(all.subarray(SPKI_BYTES, SPKI_BYTES + TAG_BYTES));
    const text = decipher.update(all.subarray(SPKI_BYTES + TAG_BYTES));
    key.fill(0);
    decipher.final();
    return text;
  }
}

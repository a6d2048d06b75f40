/**
 * What is answered for a ciphertext without a premaster: the same whenever it is asked, and by every key server that has the
 * key, so that asking twice tells nothing (draft-irtf-cfrg-rsa-guidance, "implicit rejection"). docs/protocol.md has the derivation.
 *
 * Its secret is what the private key makes of one block that nothing else has it make: so keys in tokens have it, too.
 */
import { createHmac, createSecretKey, hkdfSync, type KeyObject } from 'node:crypto';
import type { StoredKey } from './key-store.ts';

/** 48 bytes each. */
export interface Rejection {
  /** In the place of a premaster that is not there. */
  readonly premaster: Uint8Array;
  /** Where a premaster, that one or another, begins with another version. */
  readonly otherVersion: Uint8Array;
}

const LABEL = 'keyless-tls/1 implicit rejection';
const SECRET_BYTES = 32;
/** No signature and no encryption begins so (RFC 8017 §8.2.1, §7.2.1), and none by PSS ends so (§9.1.1). */
const BEGINNING = Buffer.of(0x00, 0x03);
const END = Buffer.of(0x00);

function seedBlock(modulusBytes: number): Buffer {
  const filling = hkdfSync('sha256', LABEL, '', '', modulusBytes - BEGINNING.length - END.length);
  return Buffer.concat([BEGINNING, Buffer.from(filling), END]);
}

async function makeSecret(key: StoredKey): Promise<KeyObject> {
  const seed = await key.decryptRaw!(seedBlock(key.kind.modulusBytes!));
  return createSecretKey(Buffer.from(hkdfSync('sha256', seed, LABEL, '', SECRET_BYTES)));
}

const secrets = new WeakMap<StoredKey, Promise<KeyObject>>();

/** Made at the first use, once for all that ask meanwhile; one that could not be made is tried again. */
function secretOf(key: StoredKey): Promise<KeyObject> {
  let secret = secrets.get(key);
  if (secret === undefined) {
    secret = makeSecret(key);
    secrets.set(key, secret);
    secret.catch(() => secrets.delete(key));
  }
  return secret;
}

function derive(secret: KeyObject, purpose: number, ciphertext: Uint8Array): Buffer {
  return createHmac('sha384', secret).update(Buffer.of(purpose)).update(ciphertext).digest();
}

/**
 * @param key RSA that decrypts, of 59 bytes at least
 * @param ciphertext any bytes
 * @throws (rejects) what the key's decryption does
 */
export async function rejectionOf(key: StoredKey, ciphertext: Uint8Array): Promise<Rejection> {
  const secret = await secretOf(key);
  return { premaster: derive(secret, 0, ciphertext), otherVersion: derive(secret, 1, ciphertext) };
}

/** The RSA operations below padding and hashing. Synchronous: node:crypto has them no other way. */
import { constants, type KeyObject, privateDecrypt, privateEncrypt } from 'node:crypto';
import { KeylessError } from '../errors.ts';
import type { HashName } from '../protocol/schemes.ts';

/** @param publicKey RSA; @returns n, without leading zeros */
export function modulusOf(publicKey: KeyObject): Buffer {
  return Buffer.from(publicKey.export({ format: 'jwk' }).n!, 'base64url');
}

/**
 * What it throws for cannot be an RSA ciphertext, as whoever sends it knows.
 *
 * @throws ERR_KEYLESS_INVALID_ARGUMENT
 */
export function requireBelowModulus(ciphertext: Uint8Array, modulus: Uint8Array): void {
  if (ciphertext.length === modulus.length && Buffer.compare(ciphertext, modulus) < 0) return;
  throw new KeylessError('ERR_KEYLESS_INVALID_ARGUMENT', 'The ciphertext is not below the modulus.');
}

/**
 * m = c^d mod n, no padding removed: node:crypto refuses PKCS#1 v1.5 (CVE-2023-46809), and rightly.
 *
 * @param ciphertext of modulus size
 * @returns the block of modulus size
 * @throws what node:crypto throws
 */
export function rsaRawDecrypt(key: KeyObject, ciphertext: Uint8Array): Buffer {
  return privateDecrypt({ key, padding: constants.RSA_NO_PADDING }, ciphertext);
}

/** DER of DigestInfo before the digest itself (RFC 8017 §9.2, note 1); MD5 and SHA-1 together have none. */
const DIGEST_INFO: Readonly<Record<HashName, string>> = {
  'md5-sha1': '',
  sha1: '3021300906052b0e03021a05000414',
  sha224: '302d300d06096086480165030402040500041c',
  sha256: '3031300d060960864801650304020105000420',
  sha384: '3041300d060960864801650304020205000430',
  sha512: '3051300d060960864801650304020305000440',
};

/** What PKCS#1 v1.5 pads and signs. */
export function digestInfo(hash: HashName, digest: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(DIGEST_INFO[hash], 'hex'), digest]);
}

/**
 * PKCS#1 v1.5 over a digest. PSS and ECDSA over a digest cannot be had from node:crypto.
 *
 * @throws ERR_KEYLESS_UNSUPPORTED_KEY for keys that are bound to PSS
 */
export function rsaSignDigest(key: KeyObject, hash: HashName, digest: Uint8Array): Buffer {
  if (key.asymmetricKeyType !== 'rsa') {
    throw new KeylessError('ERR_KEYLESS_UNSUPPORTED_KEY', 'PKCS#1 v1.5 needs a plain RSA key.');
  }
  return privateEncrypt({ key, padding: constants.RSA_PKCS1_PADDING }, digestInfo(hash, digest));
}

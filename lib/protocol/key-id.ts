/** How the wire names a key: by what its public half is. */
import { publicKeyBits, rsaModulus } from './der.ts';
import { digestOf } from './digests.ts';

export const KEY_ID_BYTES = 20;
export const CERTIFICATE_DIGEST_BYTES = 32;

/**
 * The subject key identifier: SHA-1 over the content of the public key's bit string (RFC 5280 §4.2.1.2, method 1).
 *
 * @param spki DER SubjectPublicKeyInfo
 * @returns 20 bytes
 * @throws ERR_KEYLESS_INVALID_ARGUMENT if it is not one
 */
export function subjectKeyId(spki: Uint8Array): Buffer {
  return Buffer.from(digestOf('sha1', publicKeyBits(spki)));
}

/**
 * The legacy selector of RSA keys: SHA-256 of the upper-case hexadecimal digits of the modulus.
 *
 * @param spki DER SubjectPublicKeyInfo of an RSA key
 * @returns 32 bytes
 * @throws ERR_KEYLESS_INVALID_ARGUMENT if it is not one
 */
export function certificateDigest(spki: Uint8Array): Buffer {
  const digits = rsaModulus(spki).toString('hex').toUpperCase();
  return Buffer.from(digestOf('sha256', Buffer.from(digits, 'ascii')));
}

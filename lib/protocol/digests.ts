/** The hashes of the wire, from OpenSSL: a message of a handshake costs half of what JavaScript takes for it. */
import { hash as hashOnce } from 'node:crypto';
import type { HashName } from './schemes.ts';

/** Bytes of each hash. */
export const DIGEST_BYTES: Readonly<Record<HashName, number>> = {
  'md5-sha1': 36,
  sha1: 20,
  sha224: 28,
  sha256: 32,
  sha384: 48,
  sha512: 64,
};

export function digestOf(hash: HashName, message: Uint8Array): Uint8Array {
  return hashOnce(hash, message, 'buffer');
}

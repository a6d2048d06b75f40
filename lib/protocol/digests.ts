/** The hashes of the wire, from @noble/hashes: audited, synchronous, the same everywhere. */
import { md5, sha1 } from '@noble/hashes/legacy.js';
import { sha224, sha256, sha384, sha512 } from '@noble/hashes/sha2.js';
import type { HashName } from './schemes.ts';

type HashFunction = (message: Uint8Array) => Uint8Array;

/** TLS 1.0 and 1.1 sign MD5 and SHA-1 one after the other (RFC 4346 §7.4.3). */
function md5Sha1(message: Uint8Array): Uint8Array {
  return Buffer.concat([md5(message), sha1(message)]);
}

const FUNCTIONS: Readonly<Record<HashName, HashFunction>> = {
  'md5-sha1': md5Sha1,
  sha1,
  sha224,
  sha256,
  sha384,
  sha512,
};

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
  return FUNCTIONS[hash](message);
}

/**
 * The digests by which a message that is signed is known afterwards: neither it is signed again, by whatever hash, nor is one
 * of them, for somebody who says no message.
 */
import { DIGEST_BYTES, digestOf } from '../protocol/digests.ts';
import type { SignRequest } from '../protocol/request-decoder.ts';
import type { HashName, SigningMethod } from '../protocol/schemes.ts';

/** Every message is known by this one: also where its algorithm hashes it itself. */
const COMMON: HashName = 'sha256';

export function isLegacy({ hash }: Pick<SigningMethod, 'hash'>): boolean {
  return hash === 'md5-sha1' || hash === 'sha1';
}

/** The hashes of bare digests that are signed. */
export function bareHashes(signsDigests: boolean, allowLegacyHashes: boolean): readonly HashName[] {
  if (!signsDigests) return [];
  const hashes = Object.keys(DIGEST_BYTES) as HashName[];
  return hashes.filter((hash) => allowLegacyHashes || !isLegacy({ hash }));
}

/**
 * @param bare see {@link bareHashes}
 * @returns all that a request is known by: a request that has one of them in common with another is for the same message.
 *   The first is the same whatever the others are: the message's SHA-256, or the digest that came without a message
 */
export function signedDigests(
  { method, message, digest }: SignRequest,
  bare: readonly HashName[],
): readonly [Uint8Array, ...Uint8Array[]] {
  const { hash } = method;
  if (message === undefined || (hash === COMMON && bare.length === 0)) return [digest!];
  const by = (each: HashName) => (each === hash ? digest! : digestOf(each, message));
  const others = new Set<HashName>(bare);
  if (hash !== undefined) others.add(hash);
  others.delete(COMMON);
  return [by(COMMON), ...[...others].map(by)];
}

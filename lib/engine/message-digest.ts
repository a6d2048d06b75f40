/** Digests that came with their messages: compared in the addon, in a third of the time that node:crypto takes to make one. */
import { hash as hashOnce } from 'node:crypto';
import { addonIfAny } from './addon.ts';
import type { RawMessageHash } from './raw-signers.ts';

const hashes = new Map<string, RawMessageHash | undefined>();

function hashOf(name: string): RawMessageHash | undefined {
  if (!hashes.has(name)) hashes.set(name, addonIfAny()?.createMessageHash(name));
  return hashes.get(name);
}

/**
 * @param name of the hash, as node:crypto calls it
 * @returns whether the digest is the message's
 */
export function isDigestOf(name: string, message: Uint8Array, digest: Uint8Array): boolean {
  const hash = hashOf(name);
  if (hash === undefined) return Buffer.compare(hashOnce(name, message, 'buffer'), digest) === 0;
  return addonIfAny()!.isDigest(hash, message, digest);
}

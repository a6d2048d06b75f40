/** Private keys of a key server that sign digests in the addon: faster than node:crypto, which makes a context each time. */
import type { KeyObject } from 'node:crypto';
import { markAsUntransferable } from 'node:worker_threads';
import { addonIfAny } from './addon.ts';
import { signInThreads } from './signing-threads.ts';

/** Signs digests of the hash it was made for. */
export interface DigestSigner {
  /** Here and now. @throws Error if the digest is of another length */
  sign(digest: Uint8Array): Uint8Array;
  /** Hashes and signs, here and now. */
  signMessage(message: Uint8Array): Uint8Array;
  /** In a thread of its own kind; rejects as the other throws. */
  signInPool(digest: Uint8Array): Promise<Uint8Array>;
}

const SLAB_BYTES = 16_384;
let slab: Buffer = Buffer.alloc(0);

/** Signatures are short: many share one allocation. */
function room(bytes: number): Buffer {
  if (slab.length < bytes) {
    slab = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, bytes));
    // As Node's own pool: whoever transferred one signature would take the others with it.
    markAsUntransferable(slab.buffer);
  }
  return slab;
}

/** @param sign writes into its argument, and returns how many bytes; 0: it failed */
function signHere(most: number, sign: (into: Buffer) => number): Uint8Array {
  const into = room(most);
  const bytes = sign(into);
  if (bytes === 0) throw new Error('OpenSSL does not sign this digest');
  slab = into.subarray(bytes);
  return into.subarray(0, bytes);
}

/**
 * @param key of RSA or EC, private
 * @param hash as node:crypto names it
 * @returns `undefined`: this Node.js or this key does not sign so; node:crypto may
 */
export function digestSigner(key: KeyObject, hash: string, pss: boolean): DigestSigner | undefined {
  const native = addonIfAny();
  if (native === undefined) return undefined;
  const pkcs8 = key.export({ type: 'pkcs8', format: 'der' });
  const signer = native.createDigestSigner(pkcs8, hash, pss);
  pkcs8.fill(0);
  if (signer === undefined) return undefined;
  const most = native.signatureBytes(signer);
  const sign = (digest: Uint8Array) => signHere(most, (into) => native.signDigest(signer, digest, into));
  return {
    sign,
    signMessage: (message) => signHere(most, (into) => native.signMessage(signer, message, into)),
    signInPool: (digest) => signInThreads(signer, digest, () => sign(digest)),
  };
}

/**
 * RSA as such, for decryption: c^d mod n.
 *
 * @param key of RSA, private
 * @returns `undefined`: there is no addon; node:crypto has it
 */
export function rawRsa(key: KeyObject): DigestSigner['signInPool'] | undefined {
  return digestSigner(key, '', false)?.signInPool;
}

/** How TLS signs with a key: what of lib/protocol/schemes.ts the addon needs. */
export interface DigestMethod {
  readonly algorithm: string;
  readonly hash: string | undefined;
}

/** @returns `undefined`: node:crypto signs */
export type DigestSigners = (method: DigestMethod) => DigestSigner | undefined;

/** A signer for each method of a key, made when it is asked for. */
export function digestSigners(key: KeyObject): DigestSigners {
  const made = new Map<DigestMethod, DigestSigner | undefined>();
  return (method) => {
    const { algorithm, hash } = method;
    if (hash === undefined) return undefined;
    if (!made.has(method)) made.set(method, digestSigner(key, hash, algorithm === 'rsa-pss'));
    return made.get(method);
  };
}

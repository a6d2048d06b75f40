/** What keys are called, in hexadecimal: made of each key once, for it is asked for with each operation. */
import type { StoredKey } from './key-store.ts';

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
}

const names = new WeakMap<StoredKey, readonly [id: string, digest?: string]>();

/** Its id first. */
export function namesOf(key: StoredKey): readonly [id: string, digest?: string] {
  let both = names.get(key);
  if (both === undefined) {
    const { keyId, certificateDigest } = key;
    both = certificateDigest === undefined ? [hex(keyId)] : [hex(keyId), hex(certificateDigest)];
    names.set(key, both);
  }
  return both;
}

export function idOf(key: StoredKey): string {
  return namesOf(key)[0];
}

/** What a key is called whose label is that of others, too: nobody who names the label alone means it. */
export function ambiguousLabel(label: string, keyId: string): string {
  return `${label} (${keyId})`;
}

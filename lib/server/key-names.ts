/** What keys are called, in hexadecimal: made of each key once, for it is asked for with each operation. */
import type { KeyStore, StoredKey } from './key-store.ts';

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

/**
 * A label is somebody's to give, and to give again: one that several keys have which decrypt names none of them for that. Several files of
 * one key are one key.
 *
 * @returns the ids of those that have the label now, without those that do not decrypt beside one that does
 */
export function namedIds(store: Pick<KeyStore, 'named'>, label: string): readonly string[] {
  const keys = store.named?.(label) ?? [];
  const decrypting = keys.filter(({ decryptRaw }) => decryptRaw !== undefined);
  return [...new Set((decrypting.length > 0 ? decrypting : keys).map(idOf))];
}

const KEY_ID = /^[0-9a-f]{40}$/i;

/** @returns of an id that it is one, in lower case; `undefined`: it can be a label */
export function asKeyId(name: string): string | undefined {
  return KEY_ID.test(name) ? name.toLowerCase() : undefined;
}

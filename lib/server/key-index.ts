/** Keys by their names, for the request that names one by its bytes: as text in hexadecimal, each would cost several times as much. */
import type { StoredKey } from './key-store.ts';

interface Named {
  readonly name: Uint8Array;
  readonly key: StoredKey;
}

/** The bytes that most names differ in. */
function startOf(name: Uint8Array): number {
  return (name[0]! << 24) | (name[1]! << 16) | (name[2]! << 8) | name[3]!;
}

export class KeyIndex {
  readonly #byStart = new Map<number, Named[]>();

  /** @param keys by key id, and by the digest that certificates of RSA have; of two with the same name the last one is found */
  constructor(keys: readonly StoredKey[]) {
    for (const key of keys) {
      this.#add(key.keyId, key);
      if (key.certificateDigest !== undefined) this.#add(key.certificateDigest, key);
    }
  }

  find(name: Uint8Array): StoredKey | undefined {
    return this.#byStart.get(startOf(name))?.find((each) => Buffer.compare(each.name, name) === 0)?.key;
  }

  #add(name: Uint8Array, key: StoredKey): void {
    const start = startOf(name);
    const others = this.#byStart.get(start) ?? [];
    this.#byStart.set(start, [{ name, key }, ...others]);
  }
}

/** The keys that a store has now, and what another look at them has changed. */
import { idOf } from '../key-names.ts';
import type { KeyChange, KeySelector, KeyStore, StoredKey } from '../key-store.ts';
import { keyStoreOf } from '../pem-directory.ts';

export class KeySet implements KeyStore {
  #keys: readonly StoredKey[];
  #store: Required<KeyStore>;

  constructor(keys: readonly StoredKey[] = []) {
    this.#keys = keys;
    this.#store = keyStoreOf(keys);
  }

  get keys(): readonly StoredKey[] {
    return this.#keys;
  }

  find(selector: KeySelector): StoredKey | undefined {
    return this.#store.find(selector);
  }

  named(label: string): readonly StoredKey[] {
    return this.#store.named(label);
  }

  /** Operations under way keep the keys that they have. */
  replace(now: readonly StoredKey[]): Omit<KeyChange, 'problems'> {
    const ids = new Set(now.map(idOf));
    const idsBefore = new Set(this.#keys.map(idOf));
    const removed = this.#keys.filter((key) => !ids.has(idOf(key)));
    this.#keys = now;
    this.#store = keyStoreOf(now);
    return { added: now.filter((key) => !idsBefore.has(idOf(key))), removed };
  }
}

/** A directory of PEM files that may change: whatever is found when it is read again takes effect at once, or stays out. */
import type { KeyChange, KeySelector, KeyStore, StoredKey } from './key-store.ts';
import { type PemDirectory, type PemDirectoryOptions, pemDirectory } from './pem-directory.ts';
import { KeySet } from './stores/key-set.ts';

const byLabel = (keys: readonly StoredKey[]) => new Map(keys.map((key) => [key.label, key]));

export class ReloadingDirectory implements KeyStore {
  readonly #path: string;
  readonly #options: PemDirectoryOptions;
  readonly #set: KeySet;
  /** Of the first look. */
  readonly first: PemDirectory;

  /** See {@link pemDirectory}, also for what it throws. */
  constructor(path: string, options: PemDirectoryOptions = {}) {
    this.#path = path;
    this.#options = options;
    this.first = pemDirectory(path, options);
    this.#set = new KeySet(this.first.keys);
  }

  get keys(): readonly StoredKey[] {
    return this.#set.keys;
  }

  find(selector: KeySelector): StoredKey | undefined {
    return this.#set.find(selector);
  }

  /** Operations under way keep the keys that they have. @throws ERR_KEYLESS_INVALID_ARGUMENT, and nothing changes */
  reload(): KeyChange {
    const { keys, problems } = pemDirectory(this.#path, this.#options);
    const before = byLabel(this.keys);
    const kept = problems.flatMap(({ file }) => before.get(file) ?? []);
    return { ...this.#set.replace([...keys, ...kept]), problems };
  }
}

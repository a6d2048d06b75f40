/** A directory of PEM files that may change: whatever is found when it is read again takes effect at once, or stays out. */
import type { KeySelector, KeyStore, StoredKey } from './key-store.ts';
import {
  type KeyProblem,
  keyStoreOf,
  type PemDirectory,
  type PemDirectoryOptions,
  pemDirectory,
} from './pem-directory.ts';

/** What another look at the directory has changed, by file name. */
export interface DirectoryChange {
  readonly added: readonly StoredKey[];
  readonly removed: readonly StoredKey[];
  /** Files that could not be used; the keys that they held before are still served. */
  readonly problems: readonly KeyProblem[];
}

const byLabel = (keys: readonly StoredKey[]) => new Map(keys.map((key) => [key.label, key]));
const idOf = ({ keyId }: StoredKey) => Buffer.from(keyId).toString('hex');

export class ReloadingDirectory implements KeyStore {
  readonly #path: string;
  readonly #options: PemDirectoryOptions;
  #store: KeyStore;
  #keys: readonly StoredKey[];
  /** Of the first look. */
  readonly first: PemDirectory;

  /** See {@link pemDirectory}, also for what it throws. */
  constructor(path: string, options: PemDirectoryOptions = {}) {
    this.#path = path;
    this.#options = options;
    this.first = pemDirectory(path, options);
    this.#keys = this.first.keys;
    this.#store = this.first;
  }

  get keys(): readonly StoredKey[] {
    return this.#keys;
  }

  find(selector: KeySelector): StoredKey | undefined {
    return this.#store.find(selector);
  }

  /** Operations under way keep the keys that they have. @throws ERR_KEYLESS_INVALID_ARGUMENT, and nothing changes */
  reload(): DirectoryChange {
    const { keys, problems } = pemDirectory(this.#path, this.#options);
    const before = byLabel(this.#keys);
    const kept = problems.flatMap(({ file }) => before.get(file) ?? []);
    const now = [...keys, ...kept];
    const ids = new Set(now.map(idOf));
    const idsBefore = new Set(this.#keys.map(idOf));
    const removed = this.#keys.filter((key) => !ids.has(idOf(key)));
    this.#keys = now;
    this.#store = keyStoreOf(now);
    return { added: now.filter((key) => !idsBefore.has(idOf(key))), removed, problems };
  }
}

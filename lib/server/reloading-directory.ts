/**
 * A directory of PEM files that may change: whatever is found when it is looked at again takes effect at once, or stays out.
 *
 * A look gives way to the event loop, and reads only files that have changed: there may be thousands.
 */
import type { KeyChange, KeyProblem, KeySelector, KeyStore, StoredKey } from './key-store.ts';
import {
  finish,
  type KeyFile,
  keysOf,
  lookAtKeys,
  type PemDirectoryOptions,
  problemsOf,
} from './pem-directory.ts';
import { KeySet } from './stores/key-set.ts';

export class ReloadingDirectory implements KeyStore {
  readonly #path: string;
  #options: PemDirectoryOptions;
  #files: ReadonlyMap<string, KeyFile>;
  readonly #set: KeySet;

  /** See {@link pemDirectory}, also for what it throws. */
  constructor(path: string, options: PemDirectoryOptions = {}) {
    this.#path = path;
    this.#options = options;
    this.#files = finish(lookAtKeys(path, options, new Map()));
    this.#set = new KeySet(keysOf(this.#files));
  }

  get keys(): readonly StoredKey[] {
    return this.#set.keys;
  }

  /** Of the last look. */
  get problems(): readonly KeyProblem[] {
    return problemsOf(this.#files);
  }

  find(selector: KeySelector): StoredKey | undefined {
    return this.#set.find(selector);
  }

  named(label: string): readonly StoredKey[] {
    return this.#set.named(label);
  }

  /** Counts from the next look on, also for files that are as they were, where the one before did not fit. */
  set passphrase(passphrase: string) {
    this.#options = { ...this.#options, passphrase };
  }

  /**
   * Looks again; not while another look is under way. Operations under way keep the keys that they have.
   *
   * @throws (rejects) ERR_KEYLESS_INVALID_ARGUMENT, and nothing changes
   */
  async reload(): Promise<KeyChange> {
    const look = lookAtKeys(this.#path, this.#options, this.#files);
    let step = look.next();
    while (step.done !== true) {
      await new Promise(setImmediate);
      step = look.next();
    }
    this.#files = step.value;
    const keys = keysOf(this.#files);
    const isSame = keys.length === this.keys.length && keys.every((key, at) => key === this.keys[at]);
    const change = isSame ? { added: [], removed: [] } : this.#set.replace(keys);
    return { ...change, problems: this.problems };
  }
}

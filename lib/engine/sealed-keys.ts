/**
 * PrivateKey objects on their way through Node's own tls, https and http2 to where contexts are made.
 *
 * Our faces seal them; only what is sealed is taken there. A PrivateKey given to node:tls itself is refused with words
 * that say what to do, rather than with Node's complaint about a type.
 */
import type { PrivateKey } from '../keys/private-key.ts';
import { withKey } from './key-option.ts';

let lastNumber = 0;

/** The value of a `key` option with at least one PrivateKey in it. */
export class SealedKeys {
  /** In the user's order: PrivateKey objects, and what Node itself takes as a key. */
  readonly keys: readonly unknown[];
  readonly #name: string;

  constructor(keys: readonly unknown[]) {
    this.keys = keys;
    lastNumber += 1;
    this.#name = `keyless:${lastNumber}`;
  }

  /** https.Agent pools connections by the text of their `key`: two identities must never share one. */
  toString(): string {
    return this.#name;
  }
}

/** Whether a value has the shape of a {@link PrivateKey}. */
export function isPrivateKey(value: unknown): value is PrivateKey {
  return typeof value === 'object' && value !== null && 'sign' in value && typeof value.sign === 'function';
}

/** Whether a `key` option holds a PrivateKey. */
export function holdsPrivateKey(key: unknown): boolean {
  return Array.isArray(key) ? key.some(isPrivateKey) : isPrivateKey(key);
}

/** Whether a `key` or `pfx` option gives Node something to sign with itself, also beside PrivateKey objects. */
export function holdsNodeKey(option: unknown): boolean {
  return option instanceof SealedKeys ? !option.keys.every(isPrivateKey) : Boolean(option);
}

/** The same sealed value for the same `key`, so that connections of one identity may be pooled. */
const sealed = new WeakMap<object, SealedKeys>();

/** An app may put another key into its array. */
function seal(key: object): SealedKeys {
  const keys: readonly unknown[] = Array.isArray(key) ? [...key] : [key];
  const known = sealed.get(key);
  if (known?.keys.length === keys.length && known.keys.every((each, index) => each === keys[index]))
    return known;
  const made = new SealedKeys(keys);
  sealed.set(key, made);
  return made;
}

/** The options with the key sealed, or themselves where there is no PrivateKey in them. */
export function sealOptions<T>(options: T): T {
  if (typeof options !== 'object' || options === null || !('key' in options)) return options;
  const { key } = options;
  if (!holdsPrivateKey(key)) return options;
  return withKey(options, seal(key as object));
}

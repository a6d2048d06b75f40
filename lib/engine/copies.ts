/**
 * Several copies of this package in one thread: an app may have one, its dependency another. What they must know of each other
 * lies where all of them find it.
 */
import type { SecureContextOptions } from 'node:tls';
import type { PrivateKey } from '../keys/private-key.ts';
import { type HiddenField, hiddenField } from './hidden-field.ts';
import type { TlsHandle } from './tls-handle.ts';

/** Of what another copy makes a context of its own, with the same keys: all that Node takes of one that is chosen late. */
export interface Recipe extends Pick<SecureContextOptions, 'cert' | 'ca' | 'crl' | 'allowPartialTrustChain'> {
  readonly key: readonly PrivateKey[];
}

const kContexts = Symbol.for('keyless-tls.contexts');
const kKeepers = Symbol.for('keyless-tls.keepers');
const kWaiting = Symbol.for('keyless-tls.waiting');

/** This copy. */
const COPY = {};

/**
 * A copy may have been loaded into a realm of its own, with other globals (node:vm; runners of tests do so). Node's modules are those
 * of the thread.
 *
 * @returns what all copies have under this name
 */
export function shared<T extends object>(name: symbol, first: T): T {
  const everywhere = process.getBuiltinModule('node:timers') as { [name: symbol]: unknown };
  if (everywhere[name] === undefined) Object.defineProperty(everywhere, name, { value: first });
  return everywhere[name] as T;
}

interface Made {
  /** The copy that made it. */
  readonly by: object;
  /** `undefined`: it has keys that only that copy, or Node, may have. */
  readonly recipe: Recipe | undefined;
}

const ofEveryCopy = shared(kContexts, new WeakMap<object, Made>());
const keepers: HiddenField<object> = shared(kKeepers, hiddenField<object>());
const waiting: HiddenField<object[]> = shared(kWaiting, hiddenField<object[]>());

/** @param recipe `undefined`: it has keys that only this copy, or Node, may have */
export function tellEveryCopy(native: object, recipe: Recipe | undefined): void {
  ofEveryCopy.set(native, { by: COPY, recipe });
}

/** Whether some copy has made a native context keyless. */
export function isOfACopy(native: unknown): boolean {
  return ofEveryCopy.has(native as object);
}

export function recipeOf(native: unknown): Recipe | undefined {
  return ofEveryCopy.get(native as object)?.recipe;
}

/** From here on this copy sees to the handle's handshake: a key that comes now must be its own. */
export function becomeKeeper(handle: TlsHandle): void {
  keepers.set(handle, COPY);
}

/** Which copy sees to it; `undefined`: none yet. */
export function keeperOf(handle: TlsHandle): 'this' | 'another' | undefined {
  return named(keepers.get(handle));
}

/** This copy was there when the handle was made, and may see to a context that is chosen later. */
export function waitForChoice(handle: TlsHandle): void {
  const others = waiting.get(handle);
  if (others === undefined) waiting.set(handle, [COPY]);
  else others.push(COPY);
}

/**
 * Of the copies that wait, the one that made the chosen context; or else the first, if it can make one like it.
 *
 * @returns `undefined`: none of them can
 */
export function chosenKeeper(handle: TlsHandle, native: unknown): 'this' | 'another' | undefined {
  const made = ofEveryCopy.get(native as object);
  if (made === undefined) return 'this';
  const copies = waiting.get(handle) ?? [];
  if (copies.includes(made.by)) return named(made.by);
  return made.recipe === undefined ? undefined : named(copies[0]);
}

function named(copy: object | undefined): 'this' | 'another' | undefined {
  if (copy === undefined) return undefined;
  return copy === COPY ? 'this' : 'another';
}

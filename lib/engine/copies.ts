/**
 * Several copies of this package in one thread: an app may have one, its dependency another. What they must know of each other
 * lies where all of them find it.
 */
import type { SecureContextOptions } from 'node:tls';
import type { PrivateKey } from '../keys/private-key.ts';
import { standIn, type TlsHandle } from './tls-handle.ts';

/** Of what another copy makes a context of its own, with the same keys: all that Node takes of one that is chosen late. */
export interface Recipe extends Pick<SecureContextOptions, 'cert' | 'ca' | 'crl' | 'allowPartialTrustChain'> {
  readonly key: readonly PrivateKey[];
}

const kContexts = Symbol.for('keyless-tls.contexts');
const kCopies = Symbol.for('keyless-tls.copies');
const kKeeper = Symbol.for('keyless-tls.keeper');

/** This copy. */
const COPY = {};

/**
 * A copy may have been loaded into a realm of its own, with other globals (node:vm; runners of tests do so). Node's modules are those
 * of the thread.
 *
 * @returns what all copies have under this name
 */
function shared<T extends object>(name: symbol, first: T): T {
  const everywhere = process.getBuiltinModule('node:timers') as { [name: symbol]: unknown };
  if (everywhere[name] === undefined) Object.defineProperty(everywhere, name, { value: first });
  return everywhere[name] as T;
}

const copies = shared(kCopies, new Set<object>()).add(COPY);
const ofEveryCopy = shared(kContexts, new WeakMap<object, Recipe | undefined>());

/** @param recipe `undefined`: it has keys that only this copy, or Node, may have */
export function tellEveryCopy(native: object, recipe: Recipe | undefined): void {
  ofEveryCopy.set(native, recipe);
}

/** Whether some copy has made a native context keyless. */
export function isOfACopy(native: unknown): boolean {
  return ofEveryCopy.has(native as object);
}

export function recipeOf(native: unknown): Recipe | undefined {
  return ofEveryCopy.get(native as object);
}

interface KeptHandle extends TlsHandle {
  [kKeeper]?: object;
}

/** From here on this copy sees to the handle's handshake: a key that comes now must be its own. */
export function becomeKeeper(handle: TlsHandle): void {
  if (copies.size > 1) standIn(handle as KeptHandle, kKeeper, COPY);
}

/** Which copy sees to it; `undefined`: none yet. */
export function keeperOf(handle: TlsHandle): 'this' | 'another' | undefined {
  const keeper = (handle as KeptHandle)[kKeeper];
  if (keeper === undefined) return undefined;
  return keeper === COPY ? 'this' : 'another';
}

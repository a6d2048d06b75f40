/**
 * Contexts of other copies of this package, made anew with the same PrivateKey objects. OpenSSL keeps keys of all contexts that
 * come to a connection, one of each kind, and takes any of them: all must be of the copy that sees to the handshake.
 */
import type { SecureContext } from 'node:tls';
import { isAnotherCopys } from './contexts.ts';
import { recipeOf } from './copies.ts';
import { makeContext } from './made-contexts.ts';
import { sealOptions } from './sealed-keys.ts';

const ourOwn = new WeakMap<object, SecureContext>();

/** @returns `undefined`: it is no other copy's, or has keys that only that copy, or Node, may have */
export function asOurOwn(native: unknown): SecureContext | undefined {
  const recipe = isAnotherCopys(native) ? recipeOf(native) : undefined;
  if (recipe === undefined) return undefined;
  const made = ourOwn.get(native as object) ?? makeContext(sealOptions(recipe));
  ourOwn.set(native as object, made);
  return made;
}

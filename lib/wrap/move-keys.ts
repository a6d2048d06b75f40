/**
 * The rest of `isolate`, loaded with the first key of an app: every private key that it gives to TLS moves into a process
 * of its own, and this one keeps none.
 */
import { moveNativeKeys } from '../engine/contexts.ts';
import { installEngine } from '../engine/hook.ts';
import type { KeyOwner } from '../engine/key-entry.ts';
import { canBeIsolated, handedKey, handOver } from '../keepers/isolated-key.ts';
import type { PrivateKey } from '../keys/private-key.ts';

/** @returns `undefined`: a kind of key that the key process does not sign with (DSA, other curves) stays with Node */
function moveKey({ publicKey }: KeyOwner, pkcs8: Buffer): PrivateKey | undefined {
  if (!canBeIsolated(publicKey)) return undefined;
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  // Processes that have it are not given it again; one that was started since does not have it, perhaps.
  return handedKey(handOver(spki, pkcs8, false), publicKey, spki);
}

installEngine();
moveNativeKeys(moveKey);

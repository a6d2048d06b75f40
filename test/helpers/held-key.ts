/** A key whose signatures wait until they are let go: what a key server does meanwhile is a test's to see. */
import type { KeyStore, StoredKey } from '../../lib/server/key-store.ts';
import { SIGNING_THREADS } from '../../lib/server/workplaces.ts';

export interface HeldKey {
  readonly keys: KeyStore;
  /** Signatures that have begun so far. */
  begun(): number;
  /** Lets go those that have begun. */
  release(): void;
}

/** An RSA key of 2048 bits, as far as anybody can tell before it has signed. */
export function heldKey(keyId: Uint8Array): HeldKey {
  const kind = { type: 'rsa', modulusBytes: 256, curve: undefined } as const;
  const held: (() => void)[] = [];
  const key: StoredKey = {
    ...{ keyId, kind, label: 'held', workplace: SIGNING_THREADS },
    sign: () => new Promise((resolve) => held.push(() => resolve(new Uint8Array(256)))),
  };
  let begun = 0;
  return {
    keys: { find: () => key },
    begun: () => begun + held.length,
    release() {
      begun += held.length;
      for (const each of held.splice(0)) each();
    },
  };
}

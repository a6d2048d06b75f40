/** The keys in a process that holds an app's. */
import { createPrivateKey, type KeyObject } from 'node:crypto';
import type { KeySelector, KeyStore, StoredKey } from '../server/key-store.ts';
import { pemKey } from '../server/pem-key.ts';
import { Seal, sealFor } from './sealed-key.ts';

interface KeptKey {
  readonly key: KeyObject;
  readonly stored: StoredKey;
  /** It is given to no other process. */
  readonly alone: boolean;
}

const nameOf = (keyId: Uint8Array) => Buffer.from(keyId).toString('hex');

/** @param pkcs8 DER, which is wiped */
function read(pkcs8: Uint8Array, alone: boolean): KeptKey {
  const der = Buffer.from(pkcs8);
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  der.fill(0);
  pkcs8.fill(0);
  return { key, stored: pemKey(key, 'isolated'), alone };
}

export class KeptKeys implements KeyStore {
  readonly #keys = new Map<string, KeptKey>();
  #seal: Seal | undefined;

  /** @param pkcs8 DER, which is wiped */
  keep(pkcs8: Uint8Array, alone: boolean): void {
    const kept = read(pkcs8, alone);
    this.#keys.set(nameOf(kept.stored.keyId), kept);
  }

  /** It is not found any more; what it is made of is wiped when the garbage collector has had it. */
  drop(keyId: Uint8Array): void {
    this.#keys.delete(nameOf(keyId));
  }

  find({ keyId }: KeySelector): StoredKey | undefined {
    return keyId && this.#keys.get(nameOf(keyId))?.stored;
  }

  address(): Uint8Array {
    this.#seal ??= new Seal();
    return this.#seal.address;
  }

  /** @returns `undefined`: there is no such key, or it is given to nobody */
  sealed(keyId: Uint8Array, address: Uint8Array): Uint8Array | undefined {
    const kept = this.#keys.get(nameOf(keyId));
    if (kept === undefined || kept.alone) return undefined;
    const pkcs8 = kept.key.export({ type: 'pkcs8', format: 'der' });
    try {
      return sealFor(address, pkcs8);
    } finally {
      pkcs8.fill(0);
    }
  }

  /** What the app has given meanwhile stays as it was given. @throws what node:crypto throws: it was sealed for another process */
  open(sealed: Uint8Array): void {
    if (this.#seal === undefined) return;
    const kept = read(this.#seal.open(sealed), false);
    const name = nameOf(kept.stored.keyId);
    if (!this.#keys.has(name)) this.#keys.set(name, kept);
  }
}

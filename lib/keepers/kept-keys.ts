/** The keys in a process that holds an app's. */
import { createPrivateKey, type KeyObject } from 'node:crypto';
import type { KeySelector, KeyStore, StoredKey } from '../server/key-store.ts';
import { pemKey } from '../server/pem-key.ts';
import { Seal, sealFor } from './sealed-key.ts';

/** A key that is read, which takes ten times as long as to move it, when it is used first. */
class KeptKey {
  /** It is given to no other process. */
  readonly alone: boolean;
  /** `undefined`: it has been read. */
  #pkcs8: Buffer | undefined;
  #read: { readonly key: KeyObject; readonly stored: StoredKey } | undefined;

  /** @param pkcs8 DER, its own from here on */
  constructor(pkcs8: Buffer, alone: boolean) {
    this.#pkcs8 = pkcs8;
    this.alone = alone;
  }

  /** @throws what node:crypto throws, now and whenever it is used: it is no key */
  get stored(): StoredKey {
    if (this.#read === undefined) {
      const key = createPrivateKey({ key: this.#pkcs8!, format: 'der', type: 'pkcs8' });
      this.#read = { key, stored: pemKey(key, 'isolated') };
      this.wipe();
    }
    return this.#read.stored;
  }

  /** For the caller to wipe. */
  toPkcs8(): Buffer {
    return this.#read?.key.export({ type: 'pkcs8', format: 'der' }) ?? Buffer.from(this.#pkcs8!);
  }

  wipe(): void {
    this.#pkcs8?.fill(0);
    this.#pkcs8 = undefined;
  }
}

const nameOf = (keyId: Uint8Array) => Buffer.from(keyId).toString('hex');

export class KeptKeys implements KeyStore {
  readonly #keys = new Map<string, KeptKey>();
  #seal: Seal | undefined;

  /** @param pkcs8 DER, which is wiped */
  keep(pkcs8: Uint8Array, alone: boolean): void {
    const kept = new KeptKey(Buffer.from(pkcs8), alone);
    pkcs8.fill(0);
    this.#keys.set(nameOf(kept.stored.keyId), kept);
  }

  /** It is not found any more; what OpenSSL has made of it is wiped when the garbage collector has had it. */
  drop(keyId: Uint8Array): void {
    const name = nameOf(keyId);
    this.#keys.get(name)?.wipe();
    this.#keys.delete(name);
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
    const pkcs8 = kept.toPkcs8();
    try {
      return sealFor(address, pkcs8);
    } finally {
      pkcs8.fill(0);
    }
  }

  /**
   * What the app has given meanwhile stays as it was given.
   *
   * @param keyId of the key, as the app has it
   * @throws what node:crypto throws: it was sealed for another process
   */
  open(keyId: Uint8Array, sealed: Uint8Array): void {
    if (this.#seal === undefined) return;
    const kept = new KeptKey(this.#seal.open(sealed), false);
    const name = nameOf(keyId);
    if (this.#keys.has(name)) kept.wipe();
    else this.#keys.set(name, kept);
  }
}

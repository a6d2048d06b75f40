/** Which of the keys that were handed over somebody can still ask for: the others need not be kept. */

/** Held by whatever asks for a key's operations, for as long as it may. */
export interface KeyLease {
  /** The key's id, in hexadecimal digits. */
  readonly name: string;
}

interface Lapsed {
  readonly name: string;
  readonly lease: WeakRef<KeyLease>;
}

export class KeyLeases {
  readonly #leases = new Map<string, WeakRef<KeyLease>>();
  readonly #lapsed: FinalizationRegistry<Lapsed>;

  /** @param onLapse told, some time after nobody holds the lease of a key any more; not if it was asked for again meanwhile */
  constructor(onLapse: (name: string) => void) {
    this.#lapsed = new FinalizationRegistry(({ name, lease }) => {
      if (this.#leases.get(name) !== lease) return;
      this.#leases.delete(name);
      onLapse(name);
    });
  }

  /** The same one for as long as somebody holds it. */
  of(name: string): KeyLease {
    const known = this.#leases.get(name)?.deref();
    if (known !== undefined) return known;
    const made: KeyLease = { name };
    const lease = new WeakRef(made);
    this.#leases.set(name, lease);
    this.#lapsed.register(made, { name, lease });
    return made;
  }
}

/** What waits for its turn, by whom it is for: each owner's turn comes after those of all others. */
export class FairQueue<Item> {
  /** In the order of their owners' turns. */
  readonly #byOwner = new Map<object, Set<Item>>();

  /** @returns takes it out again, if it still waits */
  add(owner: object, item: Item): () => void {
    const items = this.#byOwner.get(owner) ?? new Set();
    this.#byOwner.set(owner, items.add(item));
    return () => {
      items.delete(item);
      if (items.size === 0 && this.#byOwner.get(owner) === items) this.#byOwner.delete(owner);
    };
  }

  /** The first of the first owner that may have a turn, which goes to the end. */
  next(may: (owner: object) => boolean): { readonly owner: object; readonly item: Item } | undefined {
    for (const [owner, items] of this.#byOwner) {
      if (!may(owner)) continue;
      const [item] = items as Set<Item> & Iterable<Item>;
      items.delete(item!);
      this.#byOwner.delete(owner);
      if (items.size > 0) this.#byOwner.set(owner, items);
      return { owner, item: item! };
    }
    return undefined;
  }
}

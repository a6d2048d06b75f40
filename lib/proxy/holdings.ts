/** How much each owner holds of what is shared. */
export class Holdings {
  readonly #held = new Map<object, number>();

  of(owner: object): number {
    return this.#held.get(owner) ?? 0;
  }

  take(owner: object): void {
    this.#held.set(owner, this.of(owner) + 1);
  }

  giveBack(owner: object): void {
    const rest = this.of(owner) - 1;
    if (rest > 0) this.#held.set(owner, rest);
    else this.#held.delete(owner);
  }
}

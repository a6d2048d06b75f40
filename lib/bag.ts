/**
 * What is under way: a set, in no order, of members that come and go with every request. Each knows its place.
 *
 * A `Set` or `Map` would do, and keeps alive what has left it: V8 replaces its table every so many changes, a table that was replaced
 * leads to the next one, and one that has grown old is not looked at before the whole heap is. Measured at a key server: a third of all
 * that its requests are made of grew old, and its garbage collection cost three times as much.
 */

/** Of a member that is in no bag. */
export const OUTSIDE = -1;

/** In one bag at a time. */
export interface InBag {
  /** Whoever makes it begins with {@link OUTSIDE}; afterwards the bag's. */
  place: number;
}

export class Bag<T extends InBag> {
  readonly #members: T[] = [];

  get size(): number {
    return this.#members.length;
  }

  /** @param member in no bag */
  add(member: T): void {
    member.place = this.#members.length;
    this.#members.push(member);
  }

  /** @returns whether it was in the bag */
  delete(member: T): boolean {
    const { place } = member;
    if (this.#members[place] !== member) return false;
    const last = this.#members.pop()!;
    if (last !== member) {
      this.#members[place] = last;
      last.place = place;
    }
    member.place = OUTSIDE;
    return true;
  }

  /** @returns one of those that are, `undefined`: there is none */
  find(is: (member: T) => boolean): T | undefined {
    return this.#members.find(is);
  }

  /** @returns those that are in it now */
  members(): T[] {
    return [...this.#members];
  }
}

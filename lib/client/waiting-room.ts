/**
 * Operations that wait until a key server is there, or has room for them: a line for each set of key servers that they may
 * go to, so that nobody waits behind those who wait for somebody else, and nobody is looked at again and again in vain.
 */
import { type Waiting, WaitingLine } from './waiting-line.ts';

export interface RoomSettings<T extends Waiting> {
  /** @returns where the operation may go, in a word: what one of two with the same finds, the other one finds too */
  destinationOf(operation: T): string;
  /** @returns whether there was a key server with room for it, and it has gone there */
  send(operation: T): boolean;
}

export class WaitingRoom<T extends Waiting> {
  readonly #settings: RoomSettings<T>;
  /** By destination; none is empty. */
  readonly #lines = new Map<string, WaitingLine<T>>();
  readonly #destinations = new Map<T, string>();

  constructor(settings: RoomSettings<T>) {
    this.#settings = settings;
  }

  get size(): number {
    return this.#destinations.size;
  }

  /** @returns whether somebody waits who may go where the operation may, and is to go before it */
  isBefore(operation: T): boolean {
    return this.size > 0 && this.#lines.has(this.#settings.destinationOf(operation));
  }

  /** It waits in one line, whether it was waiting or not. */
  add(operation: T): void {
    this.remove(operation);
    const destination = this.#settings.destinationOf(operation);
    this.#destinations.set(operation, destination);
    let line = this.#lines.get(destination);
    if (line === undefined) {
      line = new WaitingLine();
      this.#lines.set(destination, line);
    }
    line.add(operation);
  }

  /** It has settled, whether it was waiting or not. */
  remove(operation: T): void {
    const destination = this.#destinations.get(operation);
    if (destination === undefined) return;
    this.#destinations.delete(operation);
    const line = this.#lines.get(destination)!;
    line.remove(operation);
    if (line.size === 0) this.#lines.delete(destination);
  }

  /** @returns of the longest line, who has the least time left to be served in; `undefined`: nobody waits */
  takeLast(): T | undefined {
    let longest: WaitingLine<T> | undefined;
    for (const line of this.#lines.values()) {
      if (longest === undefined || line.size > longest.size) longest = line;
    }
    const operation = longest?.first;
    if (operation !== undefined) this.remove(operation);
    return operation;
  }

  /** There may be room: one of each line goes on, as long as one does. */
  serve(now: number): void {
    if (this.size === 0) return;
    const open = new Map(this.#lines);
    while (open.size > 0) {
      for (const [destination, line] of open) {
        if (!this.#serveNext(destination, line, now)) open.delete(destination);
      }
    }
  }

  /** @returns whether another one of the line may go on */
  #serveNext(destination: string, line: WaitingLine<T>, now: number): boolean {
    const operation = line.next(now);
    if (operation === undefined) return false;
    if (this.#settings.send(operation)) {
      this.remove(operation);
      return true;
    }
    // It may go elsewhere than when it came: to more key servers, or to fewer.
    if (this.#settings.destinationOf(operation) === destination) return false;
    this.add(operation);
    return true;
  }
}

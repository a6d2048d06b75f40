/**
 * What one key server is known not to do: another one did what it had answered with an error, for example because it does
 * not have the key; or it did it wrongly. It is asked the same again when a while has passed, and before only where nobody else is there.
 *
 * An error alone says nothing: whatever a client brings about (a scheme, a message that no key server signs) every key
 * server refuses.
 */

/** A key that has come to it meanwhile is used after so long. */
const REMEMBERED_MS = 30_000;
/** The oldest are forgotten first. */
const MOST = 4096;

/** Which key, and what is to be done with it (a scheme, or what is none): of two with the same, a key server does both or neither. */
export function subjectOf(method: string, keyId: Uint8Array | undefined): string {
  return `${method} ${keyId === undefined ? '' : Buffer.from(keyId).toString('latin1')}`;
}

/** Times are milliseconds on the clock of all calls. Owner: {@link KnownServer}. */
export class Refusals {
  /** Until when, in the order of these times. */
  readonly #until = new Map<string, number>();

  /** @param subject see {@link subjectOf} */
  note(subject: string, now: number): void {
    this.#until.delete(subject);
    this.#until.set(subject, now + REMEMBERED_MS);
    if (this.#until.size <= MOST) return;
    for (const oldest of this.#until.keys()) {
      this.#until.delete(oldest);
      break;
    }
  }

  /** It does it after all. */
  forget(subject: string): void {
    this.#until.delete(subject);
  }

  has(subject: string, now: number): boolean {
    const until = this.#until.get(subject);
    if (until === undefined) return false;
    if (now < until) return true;
    this.#until.delete(subject);
    return false;
  }

  get isEmpty(): boolean {
    return this.#until.size === 0;
  }
}

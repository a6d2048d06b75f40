/** Requests of one connection by id: who gets which answer, and which ids are taken. */
import type { KeylessError } from '../errors.ts';
import type { Answer } from '../protocol/answers.ts';

/** Called once: with the answer, or with why there will be none on this connection. */
export type OnAnswer = (answer: Answer | KeylessError) => void;

/** Called at most once, with an answer that nobody waited for any more; not when the connection goes. */
export type OnLate = (answer: Answer | KeylessError) => void;

/** How many ids the wire has. */
const ID_COUNT = 2 ** 32;

/**
 * An id is taken from {@link add} until its answer came or the connection is gone, also when nobody waits for
 * it any more: an answer that comes late must not be taken for that of another request.
 */
export class PendingRequests {
  readonly #waiting = new Map<number, OnAnswer>();
  /** Those whose answers may still come; `undefined`: nobody is told. */
  readonly #givenUp = new Map<number, OnLate | undefined>();
  #nextId: number;
  readonly #idCount: number;
  /** Of those given up, the ones that the peer is thought to be busy with: since the last {@link forget}, and before it. */
  #busyNow = 0;
  #busyBefore = 0;
  /** Answers nobody waited for any more, and answers to nothing that was asked. */
  late = 0;
  unknown = 0;

  /** @param firstId 0 to 2^32 − 1, @param idCount ids 0 to one less, more than are ever taken: both for tests */
  constructor(firstId = 1, idCount = ID_COUNT) {
    this.#nextId = firstId;
    this.#idCount = idCount;
  }

  /** Requests that somebody waits for. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Requests that keep the peer busy: also those that nobody waits for any more, as far as they may be expected. */
  get occupying(): number {
    return this.waiting + this.#busyNow + this.#busyBefore;
  }

  /** Requests whose answers may still come, whether somebody waits or not. */
  get unanswered(): number {
    return this.#waiting.size + this.#givenUp.size;
  }

  /** Ids kept back because their answers may still come. */
  get givenUp(): number {
    return this.#givenUp.size;
  }

  /** @returns the id of the new request */
  add(onAnswer: OnAnswer): number {
    while (this.#isTaken(this.#nextId)) this.#nextId = (this.#nextId + 1) % this.#idCount;
    const id = this.#nextId;
    this.#nextId = (id + 1) % this.#idCount;
    this.#waiting.set(id, onAnswer);
    return id;
  }

  /** It was not sent after all. */
  withdraw(id: number): void {
    this.#waiting.delete(id);
  }

  /** Nobody waits for the answer any more. */
  giveUp(id: number, onLate?: OnLate): void {
    if (!this.#waiting.delete(id)) return;
    this.#givenUp.set(id, onLate);
    this.#busyNow += 1;
  }

  /** What was given up before the last call of this will not be answered any more: it does not count as {@link occupying}. */
  forget(): void {
    this.#busyBefore = this.#busyNow;
    this.#busyNow = 0;
  }

  /** Nobody waits for any answer any more, and everybody is told; the answers may still come. */
  abandon(error: KeylessError): void {
    const waiting = [...this.#waiting];
    for (const [id, onAnswer] of waiting) {
      this.giveUp(id);
      onAnswer(error);
    }
  }

  settle(id: number, answer: Answer | KeylessError): void {
    const onAnswer = this.#waiting.get(id);
    if (onAnswer !== undefined) {
      this.#waiting.delete(id);
      onAnswer(answer);
    } else if (this.#givenUp.has(id)) this.#settleLate(id, answer);
    else this.unknown += 1;
  }

  #settleLate(id: number, answer: Answer | KeylessError): void {
    const onLate = this.#givenUp.get(id);
    this.#givenUp.delete(id);
    if (this.#busyBefore > 0) this.#busyBefore -= 1;
    else if (this.#busyNow > 0) this.#busyNow -= 1;
    this.late += 1;
    onLate?.(answer);
  }

  /** The connection is gone: everybody who waits is told. */
  fail(error: KeylessError): void {
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    this.#givenUp.clear();
    this.#busyNow = 0;
    this.#busyBefore = 0;
    for (const onAnswer of waiting) onAnswer(error);
  }

  #isTaken(id: number): boolean {
    return this.#waiting.has(id) || this.#givenUp.has(id);
  }
}

/** An operation that processes with keys are asked for: it settles once, also where none of them answers. */
import type { Timed } from '../deadlines.ts';
import { KeylessError } from '../errors.ts';
import type { Items } from '../protocol/tags.ts';
import type { KeyLease } from './key-leases.ts';

/** Who says nothing for so long does not answer. Who answers may have many to answer first, and natively all of them would wait. */
export const SILENCE_LIMIT_MS = 10_000;

/** A process that is asked. */
export interface Hearable {
  /** When it said something for the last time; milliseconds on the clock. */
  readonly heardAt: number;
}

export type OnSettled = (result: Uint8Array | KeylessError) => void;

function noAnswer(silenceMs: number): KeylessError {
  return new KeylessError(
    'ERR_KEYLESS_TIMEOUT',
    `The processes that hold the keys have said nothing for ${silenceMs / 1000} s. Are they stopped?`,
  );
}

/** What is asked, and of which key. */
export interface Asked {
  readonly key: KeyLease;
  readonly items: Items;
  /** How long the processes may say nothing. */
  readonly silenceMs: number;
}

/** States: asked -> settled. */
export class Question implements Timed {
  readonly key: KeyLease;
  readonly items: Items;
  readonly #silenceMs: number;
  /** When it was asked, or whoever was asked before said something for the last time. */
  #since: number;
  #holder: Hearable | undefined;
  readonly #onSettled: OnSettled;
  #isSettled = false;

  /** @param now milliseconds on the clock, @param onSettled called once */
  constructor({ key, items, silenceMs }: Asked, now: number, onSettled: OnSettled) {
    this.key = key;
    this.items = items;
    this.#silenceMs = silenceMs;
    this.#since = now;
    this.#onSettled = onSettled;
  }

  get isSettled(): boolean {
    return this.#isSettled;
  }

  /** @param holder is asked from now on; it may have had nothing to say before: what counts is how long none of them has said anything */
  moveTo(holder: Hearable): void {
    this.#since = this.#quietSince;
    this.#holder = holder;
  }

  /** It moves on with each word of the process. */
  get deadline(): number {
    return this.#quietSince + this.#silenceMs;
  }

  get #quietSince(): number {
    return Math.max(this.#since, this.#holder?.heardAt ?? 0);
  }

  timeOut(): void {
    this.settle(noAnswer(this.#silenceMs));
  }

  settle(result: Uint8Array | KeylessError): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.#onSettled(result);
  }
}

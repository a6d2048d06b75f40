/**
 * Host names, by the system's resolver. Nobody can stop a lookup of its: it holds one of libuv's few threads and keeps the
 * process alive until it ends, which takes many seconds where the DNS is silent.
 *
 * So a name is looked up once at a time, for all who ask meanwhile. Of those that took long the last time two are at a time, as
 * many as libuv itself begins in its four threads (uv_getaddrinfo is "slow I/O", which gets half of them), and one at most of
 * those without an answer: it keeps none of the others away. Then comes a pause, in which a process that has nothing else to do ends.
 */
import dns, { type LookupOptions } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { type Clock, systemClock } from '../clock.ts';
import { nextTick } from '../timers.ts';
import { wordsOf } from './errors.ts';

type Callback = Parameters<LookupFunction>[2];

/** Whether there was an address in the end. */
type Slowness = 'answered' | 'unanswered';

interface Question {
  readonly hostname: string;
  readonly options: LookupOptions;
  /** Who waits for the answer. */
  readonly callbacks: Set<Callback>;
}

/** What takes so long is no matter of a cache or a near DNS. */
const SLOW_MS = 250;
const MOST_SLOW = 2;
/** Longer than any turn of a loop that has nothing else to do. */
const PAUSE_MS = 50;
/** Of names that are not known to be slow: those of others wait in the same threads. */
const MOST_AT_ONCE = 4;
/** Names change, where an SRV record tells them: what is forgotten is looked up as if for the first time. */
const MOST_REMEMBERED = 256;

/** Whoever resolves may throw or reject, too: that is a lookup that fails. What he says after his first answer is nothing. */
export function guarded(lookup: LookupFunction): LookupFunction {
  return (hostname, options, callback) => {
    let isAnswered = false;
    const answer: Callback = (...said) => {
      if (isAnswered) return;
      isAnswered = true;
      callback(...said);
    };
    const fail = (error: unknown) => {
      nextTick(answer, error instanceof Error ? error : new Error(wordsOf(error)), []);
    };
    try {
      // An async function has the type, too.
      const returned: unknown = lookup(hostname, options, answer);
      Promise.resolve(returned).catch(fail);
    } catch (error) {
      fail(error);
    }
  };
}

export class Lookups {
  readonly #clock: Clock;
  readonly #lookup: LookupFunction;
  readonly #underWay = new Map<string, Question>();
  readonly #waiting = new Map<string, Question>();
  /** Those that took long the last time. */
  readonly #slow = new Map<string, Slowness>();
  /** Of those, the ones that are under way. */
  readonly #slowOnes = new Map<string, Slowness>();
  /** No slow one begins until none is under way, and a pause is over. */
  #isPausing = false;

  constructor(clock: Clock, lookup: LookupFunction) {
    this.#clock = clock;
    this.#lookup = guarded(lookup);
  }

  /** @returns takes the question back: `callback` is not called any more */
  ask(hostname: string, options: LookupOptions, callback: Callback): () => void {
    const name = JSON.stringify([hostname, options]);
    const known = this.#underWay.get(name) ?? this.#waiting.get(name);
    const question: Question = known ?? { hostname, options, callbacks: new Set() };
    const { callbacks } = question;
    callbacks.add(callback);
    if (known === undefined) {
      this.#waiting.set(name, question);
      this.#serve();
    }
    return () => {
      callbacks.delete(callback);
      // Once it was answered, that of the name which waits is somebody else's.
      if (callbacks.size === 0 && this.#waiting.get(name) === question) this.#waiting.delete(name);
    };
  }

  #serve(): void {
    for (const [name, question] of this.#waiting) if (this.#mayBegin(name)) this.#begin(name, question);
  }

  #mayBegin(name: string): boolean {
    const slowness = this.#slow.get(name);
    if (slowness === undefined) return this.#underWay.size < MOST_AT_ONCE;
    if (this.#isPausing || this.#slowOnes.size >= MOST_SLOW) return false;
    return slowness === 'answered' || !this.#isOneUnanswered();
  }

  #isOneUnanswered(): boolean {
    return [...this.#slowOnes.values()].includes('unanswered');
  }

  #begin(name: string, question: Question): void {
    this.#waiting.delete(name);
    this.#underWay.set(name, question);
    const slowness = this.#slow.get(name);
    if (slowness !== undefined) this.#slowOnes.set(name, slowness);
    const begunAt = this.#clock.now();
    this.#lookup(question.hostname, question.options, (...answer) => {
      if (this.#underWay.get(name) !== question) return;
      this.#underWay.delete(name);
      this.#note(name, this.#clock.now() - begunAt, answer[0] ? 'unanswered' : 'answered');
      if (this.#slowOnes.delete(name)) this.#onSlowEnd();
      this.#serve();
      for (const callback of question.callbacks) callback(...answer);
    });
  }

  #note(name: string, tookMs: number, slowness: Slowness): void {
    if (tookMs < SLOW_MS) {
      this.#slow.delete(name);
      return;
    }
    if (this.#slow.size >= MOST_REMEMBERED) this.#slow.clear();
    this.#slow.set(name, slowness);
  }

  /** While one without an answer goes on there is no pause to be had, and no reason for others to wait for one. */
  #onSlowEnd(): void {
    if (this.#isOneUnanswered()) return;
    this.#isPausing = true;
    if (this.#slowOnes.size > 0) return;
    this.#clock.after(PAUSE_MS, () => {
      this.#isPausing = false;
      this.#serve();
    });
  }
}

/** Those of this thread. `dns.lookup` is asked for each time: apps put their own in its place. */
export const systemLookups = new Lookups(systemClock, (hostname, options, callback) =>
  dns.lookup(hostname, options, callback),
);

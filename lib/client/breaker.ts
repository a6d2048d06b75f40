/**
 * The circuit breaker of one key server: it is left alone for a while when it fails too often, and tried carefully
 * before it is trusted again.
 *
 * States: closed -> open (five failures in a row, or half of the last twenty) -> half-open (a ping was answered: one
 * operation at a time) -> closed, or open again for twice as long. Stopped, it stays as it is.
 */
import type { Alarm, Clock } from '../clock.ts';
import { type BackOffSettings, backOffMs } from './back-off.ts';

export type BreakerState = 'closed' | 'open' | 'half-open';

export interface BreakerEvents {
  /** Asks whether the key server answers at all; `onAnswer` is called once. */
  probe(onAnswer: (answered: boolean) => void): void;
  onChange(state: BreakerState): void;
}

const OPEN_MS = { minMs: 1000, maxMs: 30_000 };
const LAST = 20;
const TOO_MANY_OF_LAST = 10;
const IN_A_ROW = 0b11111;

function onesIn(bits: number): number {
  let ones = 0;
  for (let left = bits; left !== 0; left &= left - 1) ones += 1;
  return ones;
}

export class Breaker {
  readonly #clock: Clock;
  readonly #openFor: BackOffSettings;
  readonly #events: BreakerEvents;
  /** The last outcomes, the newest in the lowest bit; 1: a failure. */
  #outcomes = 0;
  #openings = 0;
  #alarm: Alarm | undefined;
  #stopped = false;
  state: BreakerState = 'closed';
  /** How often it has opened. */
  opened = 0;

  /** @param random 0 to 1, as Math.random */
  constructor(clock: Clock, random: () => number, events: BreakerEvents) {
    this.#clock = clock;
    this.#openFor = { ...OPEN_MS, random };
    this.#events = events;
  }

  onSuccess(): void {
    this.#outcomes = (this.#outcomes << 1) & ((1 << LAST) - 1);
    if (this.state === 'closed') return;
    this.#alarm?.cancel();
    this.#openings = 0;
    this.#outcomes = 0;
    this.#become('closed');
  }

  onFailure(): void {
    this.#outcomes = ((this.#outcomes << 1) | 1) & ((1 << LAST) - 1);
    if (this.state === 'half-open') this.#open();
    else if (this.state === 'closed' && this.#isTooMuch) this.#open();
  }

  /** What counted as a success was none: the newest one becomes a failure. */
  onTakenBack(): void {
    this.#outcomes = (this.#outcomes | (this.#outcomes + 1)) & ((1 << LAST) - 1);
    if (this.state === 'half-open' || (this.state === 'closed' && this.#isTooMuch)) this.#open();
  }

  /** A new connection was made and has answered: as good as a ping. */
  onReachable(): void {
    if (this.state !== 'open') return;
    this.#alarm?.cancel();
    this.#become('half-open');
  }

  /** The key server is asked no more: what its last answers are is all the same. */
  stop(): void {
    this.#stopped = true;
    this.#alarm?.cancel();
  }

  get #isTooMuch(): boolean {
    return (this.#outcomes & IN_A_ROW) === IN_A_ROW || onesIn(this.#outcomes) >= TOO_MANY_OF_LAST;
  }

  #open(): void {
    if (this.#stopped) return;
    this.opened += 1;
    this.#openings += 1;
    this.#outcomes = 0;
    this.#alarm?.cancel();
    const waitMs = backOffMs(this.#openings, this.#openFor);
    this.#alarm = this.#clock.after(waitMs, () => this.#probe());
    this.#become('open');
  }

  #probe(): void {
    this.#events.probe((answered) => {
      if (this.state !== 'open') return;
      if (answered) this.#become('half-open');
      else this.#open();
    });
  }

  #become(state: BreakerState): void {
    if (this.#stopped) return;
    this.state = state;
    this.#events.onChange(state);
  }
}

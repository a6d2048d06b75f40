/** Counts what became of connections. */
import type { ClientFigures } from './client-plans.ts';

const MAX_LATENCIES = 5000;

export class Tally {
  readonly #startedAt: number;
  readonly #cpu = process.cpuUsage();
  readonly #latencies: number[] = [];
  #lastAt = 0;
  #reason: string | undefined;
  handshakes = 0;
  failed = 0;
  dropped = 0;

  /** @param startedAt as performance.now() */
  constructor(startedAt = performance.now()) {
    this.#startedAt = startedAt;
  }

  /** @param ms it took; @param at when it was through */
  through(ms: number, at = performance.now()): void {
    this.#lastAt = Math.max(this.#lastAt, at);
    this.handshakes += 1;
    if (this.#latencies.length < MAX_LATENCIES) {
      this.#latencies.push(ms);
      return;
    }
    // Each of all has the same chance to be among those that are kept (reservoir sampling).
    const place = Math.floor(Math.random() * this.handshakes);
    if (place < MAX_LATENCIES) this.#latencies[place] = ms;
  }

  fail(error: Error | undefined): void {
    this.failed += 1;
    this.#reason ??= error?.message ?? 'The server ended the connection.';
  }

  /** @param until the time counts to then, or to when the last one was through; default: to now */
  figures(until = performance.now()): ClientFigures {
    const { user, system } = process.cpuUsage(this.#cpu);
    return {
      handshakes: this.handshakes,
      failed: this.failed,
      reason: this.#reason,
      dropped: this.dropped,
      wallMs: Math.max(until, this.#lastAt) - this.#startedAt,
      cpuMs: (user + system) / 1000,
      latencies: this.#latencies,
    };
  }
}

/** Counts what became of connections. */
import type { ClientFigures } from './client-plans.ts';

const MAX_LATENCIES = 5000;

export class Tally {
  readonly #startedAt = performance.now();
  readonly #cpu = process.cpuUsage();
  readonly #latencies: number[] = [];
  #reason: string | undefined;
  handshakes = 0;
  failed = 0;
  dropped = 0;

  /** @param ms it took */
  through(ms: number): void {
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

  figures(): ClientFigures {
    const { user, system } = process.cpuUsage(this.#cpu);
    return {
      handshakes: this.handshakes,
      failed: this.failed,
      reason: this.#reason,
      dropped: this.dropped,
      wallMs: performance.now() - this.#startedAt,
      cpuMs: (user + system) / 1000,
      latencies: this.#latencies,
    };
  }
}

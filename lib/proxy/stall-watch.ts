/**
 * How long an exchange may stand still. Whom it waits for is asked when time is up: a backend may take less long, or
 * longer, than a client. What goes on takes as long as it likes.
 */

export interface StallLimits {
  readonly backendMs: number;
  readonly clientMs: number;
}

export class StallWatch {
  readonly #limits: StallLimits;
  readonly #firstMs: number;
  readonly #waitsForClient: () => boolean;
  readonly #onStall: (ofClient: boolean) => void;
  #timer: NodeJS.Timeout;
  /** Of the timer that runs, and of those before it, since something moved. */
  #timerMs: number;
  #waitedMs = 0;
  #ended = false;

  /** @param onStall is called, and only again if something has moved since */
  constructor(limits: StallLimits, waitsForClient: () => boolean, onStall: (ofClient: boolean) => void) {
    this.#limits = limits;
    this.#waitsForClient = waitsForClient;
    this.#onStall = onStall;
    this.#firstMs = Math.min(limits.backendMs, limits.clientMs);
    this.#timerMs = this.#firstMs;
    this.#timer = setTimeout(() => this.#check(), this.#timerMs);
  }

  /** Something moved. */
  touch(): void {
    if (this.#ended) return;
    this.#waitedMs = 0;
    if (this.#timerMs === this.#firstMs) this.#timer.refresh();
    else this.#arm(this.#firstMs);
  }

  end(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
  }

  #arm(ms: number): void {
    clearTimeout(this.#timer);
    this.#timerMs = ms;
    this.#timer = setTimeout(() => this.#check(), ms);
  }

  #check(): void {
    this.#waitedMs += this.#timerMs;
    const ofClient = this.#waitsForClient();
    const restMs = (ofClient ? this.#limits.clientMs : this.#limits.backendMs) - this.#waitedMs;
    if (restMs > 0) this.#arm(restMs);
    else this.#onStall(ofClient);
  }
}

/** The clients, seen from the benchmark. */
import { KeylessError } from '../../errors.ts';
import { ChildModule } from './child-module.ts';
import type { ClientFigures, ClientPlan } from './client-plans.ts';
import { pin } from './cores.ts';
import { cpuMsOf } from './process-figures.ts';

/** Owner: whoever made it; `end()` ends it. */
export class Clients {
  readonly role = 'clients';
  readonly #child = new ChildModule('./client-process.js');
  readonly isPinned = pin(this.#child.pid, this.role);

  get pid(): number {
    return this.#child.pid;
  }

  /** Rejects when the process ends. */
  get gone(): Promise<never> {
    return this.#child.gone;
  }

  /** CPU milliseconds as the kernel tells others: a check of what the clients say of themselves. */
  cpuMs(): number | undefined {
    return cpuMsOf(this.pid);
  }

  /** @throws (rejects) KeylessError ERR_KEYLESS_HANDSHAKE if a connection failed: nothing was measured then */
  async run(plan: ClientPlan): Promise<ClientFigures> {
    const figures = await this.#child.ask<ClientFigures>(plan);
    if (figures.failed === 0) return figures;
    const all = figures.failed + figures.handshakes;
    const text = `${figures.failed} of ${all} connections of the benchmark failed: ${figures.reason}`;
    throw new KeylessError('ERR_KEYLESS_HANDSHAKE', text);
  }

  end(): void {
    this.#child.end();
  }
}

/** A process of clients, seen from the benchmark. */
import { KeylessError } from '../../errors.ts';
import { ChildModule } from './child-module.ts';
import type { ClientFigures, ClientPlan } from './client-plans.ts';
import { pin } from './cores.ts';
import { cpuMsOf } from './process-figures.ts';

/** What they say of themselves, and how much of a core they took. */
export interface ClientRun extends ClientFigures {
  /** CPU over the time: near 1, they limit all wall times. */
  readonly utilisation: number;
  /** The same by the kernel's account, a check of it; `undefined`: this system does not say. */
  readonly utilisationByKernel: number | undefined;
}

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

  /** @throws (rejects) KeylessError ERR_KEYLESS_HANDSHAKE if a connection failed: nothing was measured then */
  async run(plan: ClientPlan): Promise<ClientRun> {
    const before = cpuMsOf(this.pid);
    const figures = await this.#child.ask<ClientFigures>(plan, 'ms' in plan ? plan.ms : 0);
    const after = cpuMsOf(this.pid);
    if (figures.failed === 0) {
      const { cpuMs, wallMs } = figures;
      const byKernel = after === undefined || before === undefined ? undefined : (after - before) / wallMs;
      return { ...figures, utilisation: cpuMs / wallMs, utilisationByKernel: byKernel };
    }
    const all = figures.failed + figures.handshakes;
    const text = `${figures.failed} of ${all} connections of the benchmark failed: ${figures.reason}`;
    throw new KeylessError('ERR_KEYLESS_HANDSHAKE', text);
  }

  end(): void {
    this.#child.end();
  }
}

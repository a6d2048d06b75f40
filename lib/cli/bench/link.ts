/** A link with a delay in front of the key server, seen from the benchmark. */
import { ChildModule } from './child-module.ts';
import { pin } from './cores.ts';

/** Owner: whoever made it; `end()` ends it. */
export class Link {
  readonly role = 'key server';
  readonly #child = new ChildModule('./link-process.js');
  readonly isPinned = pin(this.#child.pid, this.role);
  #port = 0;

  /** @param port of the key server */
  async listen(port: number): Promise<void> {
    this.#port = await this.#child.ask<number>({ port });
  }

  get pid(): number {
    return this.#child.pid;
  }

  get port(): number {
    return this.#port;
  }

  /** @param ms that a round trip takes longer from now on */
  async delay(ms: number): Promise<void> {
    await this.#child.ask({ ms });
  }

  end(): void {
    this.#child.end();
  }
}

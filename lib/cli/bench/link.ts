/** A link with a delay in front of the key server, seen from the benchmark. */
import { ChildModule } from './child-module.ts';
import { pin } from './cores.ts';

/** Owner: whoever started it; `end()` ends it. */
export class Link {
  readonly port: number;
  readonly #child: ChildModule;

  private constructor(child: ChildModule, port: number) {
    this.#child = child;
    this.port = port;
    pin(child.pid, 'key server');
  }

  /** @param port of the key server */
  static async start(port: number): Promise<Link> {
    const child = new ChildModule('./link-process.js');
    return new Link(child, await child.ask<number>({ port }));
  }

  /** @param ms that a round trip takes longer from now on */
  async delay(ms: number): Promise<void> {
    await this.#child.ask({ ms });
  }

  end(): void {
    this.#child.end();
  }
}

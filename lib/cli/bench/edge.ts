/** A running edge, seen from the benchmark. */
import { ChildModule } from './child-module.ts';
import { pin, type Role } from './cores.ts';
import type { EdgeFigures, EdgePlan, EdgePorts, EdgeRequest } from './edge-process.ts';

/** Owner: whoever started it; `end()` ends it. */
export class Edge {
  readonly ports: EdgePorts;
  readonly pinned: boolean;
  readonly #child: ChildModule;

  private constructor(child: ChildModule, ports: EdgePorts, role: Role) {
    this.#child = child;
    this.ports = ports;
    this.pinned = pin(child.pid, role);
  }

  /** @param execArgv options of node, such as `--expose-gc` */
  static async start(plan: EdgePlan, execArgv: readonly string[] = [], role: Role = 'edge'): Promise<Edge> {
    const child = new ChildModule('./edge-process.js', execArgv);
    try {
      return new Edge(child, await child.ask<EdgePorts>(plan), role);
    } catch (error) {
      child.end();
      throw error;
    }
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Since its start. */
  figures(request: EdgeRequest = {}): Promise<EdgeFigures> {
    return this.#child.ask(request);
  }

  end(): void {
    this.#child.end();
  }
}

/** A running edge, seen from the benchmark. */
import { rmSync } from 'node:fs';
import { KeylessError } from '../../errors.ts';
import { ChildModule } from './child-module.ts';
import { pin, type Role } from './cores.ts';
import type { EdgeFigures, EdgePlan, EdgePorts, EdgeRequest, NotStarted } from './edge-process.ts';

/** `perf` looks there for what V8 has compiled, whatever TMPDIR is. */
const mapOf = (pid: number) => `/tmp/perf-${pid}.map`;
const MAP = '--perf-basic-prof';
/** Of node: to write that down, and V8's log, which comes with it, to a file without a name. */
export const WITH_MAP: readonly string[] = [MAP, '--logfile=+', '--no-logfile-per-isolate'];

const isNotStarted = (answer: EdgePorts | NotStarted): answer is NotStarted =>
  typeof answer.failed === 'string';

/** Owner: whoever made it; `end()` ends it. */
export class Edge {
  /** Resolves when it has ended, for whatever reason, and has left nothing. */
  readonly gone: Promise<void>;
  /** Rejects when it ends, and nobody has told it to. */
  readonly lost: Promise<never>;
  readonly #child: ChildModule;
  #role: Role;
  #ports: EdgePorts = {};
  #asks = false;
  #isPinned = false;
  #isGone = false;
  #isToEnd = false;

  /** @param execArgv options of node, such as `--expose-gc` */
  constructor(execArgv: readonly string[] = [], role: Role = 'edge') {
    this.#child = new ChildModule('./edge-process.js', execArgv);
    this.#role = role;
    const [{ pid }, hasMap] = [this, execArgv.includes(MAP)];
    this.gone = this.#child.gone.catch(() => {
      this.#isGone = true;
      if (hasMap) rmSync(mapOf(pid), { force: true });
    });
    this.lost = new Promise((_, reject) => {
      this.#child.gone.catch((error) => !this.#isToEnd && reject(error));
    });
    this.lost.catch(() => undefined);
  }

  /** @throws (rejects) KeylessError ERR_KEYLESS_CONNECTION with the reason: it does not listen, and has ended */
  async listen(plan: EdgePlan): Promise<void> {
    this.#asks = plan.mode !== 'native';
    const answer = await this.#child.ask<EdgePorts | NotStarted>(plan);
    if (isNotStarted(answer)) {
      this.end();
      throw new KeylessError(
        'ERR_KEYLESS_CONNECTION',
        `An edge (${plan.mode}) did not start: ${answer.failed}`,
      );
    }
    this.#ports = answer;
    this.place(this.#role);
  }

  /** Once it runs: where its threads and those that come run from now on. */
  place(role: Role): void {
    this.#role = role;
    this.#isPinned = pin(this.pid, role);
  }

  get role(): Role {
    return this.#role;
  }

  get ports(): EdgePorts {
    return this.#ports;
  }

  /** Whether its full handshakes are operations that it counts. */
  get asks(): boolean {
    return this.#asks;
  }

  get isPinned(): boolean {
    return this.#isPinned;
  }

  get isGone(): boolean {
    return this.#isGone;
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Since its start. */
  figures(request: EdgeRequest = {}): Promise<EdgeFigures> {
    return this.#child.ask(request);
  }

  end(): void {
    this.#isToEnd = true;
    this.#child.end();
  }
}

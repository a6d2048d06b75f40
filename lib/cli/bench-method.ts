/**
 * How `keyless-tls bench` measures: server, key server and clients in processes of their own; CPU time of the server's
 * own rusage before wall time; rounds in turn (A B, B A …); medians; ratios only between what was measured in one run.
 */
import { type ChildProcess, execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { KeylessError } from '../errors.ts';
import type { LoadFigures, LoadPlan } from './bench-load.ts';
import type { BenchMode, ServerFigures, ServerPlan } from './bench-server.ts';

const SERVER_CORE = 0;
const OTHER_CORE = 1;

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? upper)) / 2;
}

/** Where there is more than one core and taskset, the measured server has one for itself. @returns whether it has */
export function pin(pid: number | undefined, core: number): boolean {
  if (availableParallelism() < 2 || pid === undefined) return false;
  try {
    execFileSync('taskset', ['-a', '-cp', String(core), String(pid)], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

function forkModule(name: string): ChildProcess {
  return fork(fileURLToPath(new URL(name, import.meta.url)), { execArgv: [] });
}

/** @throws (rejects) KeylessError ERR_KEYLESS_CONNECTION if the process ends instead of answering; it has said why */
async function ask<T>(child: ChildProcess, message: object | string): Promise<T> {
  const done = new AbortController();
  const { signal } = done;
  const ended = once(child, 'exit', { signal }).then(() => {
    throw new KeylessError('ERR_KEYLESS_CONNECTION', 'A process of the benchmark has ended; see above.');
  });
  try {
    const answer = once(child, 'message', { signal });
    child.send(message);
    const [value] = (await Promise.race([answer, ended])) as [T];
    return value;
  } finally {
    done.abort();
  }
}

/** One server process. Owner: whoever made it; `end()` ends it. */
export class BenchServer {
  readonly port: number;
  readonly pinned: boolean;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.port = port;
    this.pinned = pin(child.pid, SERVER_CORE);
  }

  static async start(plan: ServerPlan): Promise<BenchServer> {
    const child = forkModule('./bench-server.js');
    const { port } = await ask<{ port: number }>(child, plan);
    return new BenchServer(child, port);
  }

  figures(): Promise<ServerFigures> {
    return ask(this.#child, 'figures');
  }

  end(): void {
    this.#child.kill();
  }
}

export class BenchLoad {
  readonly #child = forkModule('./bench-load.js');

  constructor() {
    pin(this.#child.pid, OTHER_CORE);
  }

  run(plan: LoadPlan): Promise<LoadFigures> {
    return ask(this.#child, plan);
  }

  end(): void {
    this.#child.kill();
  }
}

const USER_TICKS = 13;
const SYSTEM_TICKS = 14;
/** Linux's USER_HZ. */
const TICK_MS = 10;

/** CPU time of another process, in steps of 10 ms; `undefined`: this system does not say. */
export function cpuMsOf(pid: number | undefined): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const ticks = Number(fields[USER_TICKS - 2]) + Number(fields[SYSTEM_TICKS - 2]);
    return ticks * TICK_MS;
  } catch {
    return undefined;
  }
}

export type { BenchMode };
export { OTHER_CORE };

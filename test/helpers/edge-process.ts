/** The side of edge-program.ts that starts it: an edge in a process of its own, whose memory and descriptors are its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import tls, { type ConnectionOptions } from 'node:tls';
import { fileURLToPath } from 'node:url';
import type { EdgePlan, EdgeState } from './edge-program.ts';

const MAIN = fileURLToPath(new URL('./edge-program.js', import.meta.url));

export interface EdgeProcessOptions {
  /** What stands before `node` on the command line: prlimit and its arguments. */
  readonly under?: readonly string[];
  readonly execArgv?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
}

export class EdgeProcess {
  readonly child: ChildProcess;
  /** What it wrote, on either stream. */
  output = '';
  port = 0;
  /** Exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals>;

  private constructor({ under = [], execArgv = [], env = {} }: EdgeProcessOptions) {
    const [command, ...args] = [...under, process.execPath, ...execArgv, MAIN];
    this.child = spawn(command!, args, {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env: { ...process.env, ...env },
    });
    for (const stream of [this.child.stdout!, this.child.stderr!]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.output += text;
      });
    }
    this.ended = once(this.child, 'close').then(([code, signal]) => code ?? signal);
  }

  /** @returns when it listens @throws what it wrote, if it ends before */
  static async start(plan: EdgePlan, options: EdgeProcessOptions = {}): Promise<EdgeProcess> {
    const edge = new EdgeProcess(options);
    edge.port = await edge.#ask<number>(plan);
    return edge;
  }

  get descriptors(): number {
    return readdirSync(`/proc/${this.child.pid}/fd`).length;
  }

  /** Resident bytes; after {@link state} with `--expose-gc`, without garbage. */
  get rss(): number {
    return 1024 * Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${this.child.pid}/status`, 'utf8'))![1]);
  }

  state(): Promise<EdgeState> {
    return this.#ask<EdgeState>('state');
  }

  /** @returns its state as soon as it is as wanted */
  async until(isSo: (state: EdgeState) => boolean): Promise<EdgeState> {
    for (;;) {
      const state = await this.state();
      if (isSo(state)) return state;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Tells it to close. @returns how it ended */
  end(): Promise<number | NodeJS.Signals> {
    this.child.send('end');
    return this.ended;
  }

  kill(): void {
    this.child.kill('SIGKILL');
  }

  async #ask<T>(question: object | string): Promise<T> {
    const answer = once(this.child, 'message');
    this.child.send(question);
    const [said] = (await Promise.race([
      answer,
      this.ended.then((how) => Promise.reject(new Error(`It ended (${how}): ${this.output}`))),
    ])) as [T];
    return said;
  }
}

/** One full handshake with whoever listens there. @returns `ok`, or the code of the client's error */
export function visitPort(port: number, ca: string, options: ConnectionOptions = {}): Promise<string> {
  const socket = tls.connect({ port, host: '127.0.0.1', servername: 'localhost', ca, ...options });
  return new Promise((resolve) => {
    socket.on('data', () => resolve('ok'));
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.on('close', () => resolve('closed'));
  });
}

/** Child processes of tests: what they print, how they end; none outlives the test file that started it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { fileURLToPath } from 'node:url';

/** How a process ended, and everything it printed. */
export interface Outcome {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ProgramOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** Written to its standard input, which then ends; `undefined`: it stays open until {@link Program.write}. */
  readonly input?: string;
  /** In a session of its own, without a terminal that it could ask at; default false. */
  readonly detached?: boolean;
}

const running = new Set<Program>();
after(() => {
  for (const program of running) program.signal('SIGKILL');
});

/** A process of any program. */
export class Program {
  readonly pid: number;
  readonly ended: Promise<Outcome>;
  readonly #child: ChildProcess;
  readonly #watchers = new Set<() => void>();
  #stdout = '';
  #stderr = '';

  constructor(command: string, values: readonly string[], options: ProgramOptions) {
    const { env = process.env, cwd, input, detached } = options;
    const child = spawn(command, values, { env, cwd, detached, stdio: 'pipe' });
    this.#child = child;
    this.pid = child.pid ?? 0;
    running.add(this);
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout += text;
      for (const watch of this.#watchers) watch();
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
      for (const watch of this.#watchers) watch();
    });
    // A peer that ends before it has read everything is a case, not an accident.
    child.stdin.on('error', () => undefined);
    if (input !== undefined) child.stdin.end(input);
    this.ended = new Promise((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (code, signal) => {
        running.delete(this);
        resolve({ code, signal, stdout: this.#stdout, stderr: this.#stderr });
      });
    });
    this.ended.catch(() => running.delete(this));
  }

  /** Everything it has printed so far. */
  get text(): string {
    return this.#stdout + this.#stderr;
  }

  /** The first match in what it has printed or prints. @throws if it ends without */
  async prints(pattern: RegExp): Promise<RegExpExecArray> {
    const found = new Promise<RegExpExecArray>((resolve) => {
      const watch = () => {
        const match = pattern.exec(this.#stdout) ?? pattern.exec(this.#stderr);
        if (match === null) return;
        this.#watchers.delete(watch);
        resolve(match);
      };
      this.#watchers.add(watch);
      watch();
    });
    const match = await Promise.race([found, this.ended]);
    if (Array.isArray(match)) return match;
    const { code, signal, stdout, stderr } = match;
    throw new Error(`It ended (${signal ?? code}) and never printed ${pattern}:\n${stdout}${stderr}`);
  }

  write(text: string): void {
    this.#child.stdin?.write(text);
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** Sends a signal every millisecond until it has ended, as it comes from a terminal that is closed, a shell and a service manager. */
  async endMany(name: NodeJS.Signals): Promise<Outcome> {
    const sending = setInterval(() => this.signal(name), 1);
    try {
      return await this.ended;
    } finally {
      clearInterval(sending);
    }
  }

  /** Sends a signal and waits for the end. */
  end(name: NodeJS.Signals = 'SIGTERM'): Promise<Outcome> {
    this.signal(name);
    return this.ended;
  }
}

/** Starts a program. */
export function start(command: string, values: readonly string[], options: ProgramOptions = {}): Program {
  return new Program(command, values, options);
}

const MAIN = fileURLToPath(new URL('../../lib/cli/main.js', import.meta.url));

/** Starts `keyless-tls`. */
export function startCommand(values: readonly string[], options: ProgramOptions = {}): Program {
  return start(process.execPath, [MAIN, ...values], options);
}

/** Runs a program to its end, with nothing on its standard input. */
export function run(
  command: string,
  values: readonly string[],
  options: ProgramOptions = {},
): Promise<Outcome> {
  return start(command, values, { input: '', ...options }).ended;
}

/** Runs `keyless-tls` to its end. */
export function runCommand(values: readonly string[], options: ProgramOptions = {}): Promise<Outcome> {
  return run(process.execPath, [MAIN, ...values], options);
}

/** @param text of a shell script that has this name, before all others; @returns an environment with it, until the file's tests are over */
export function withProgram(name: string, text: string, env: NodeJS.ProcessEnv = process.env) {
  const folder = mkdtempSync(join(tmpdir(), 'keyless-tls-test-'));
  after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  return { ...env, PATH: `${folder}:${env.PATH}` };
}

/** What anyone on the machine who may look at a process sees of how it was started (proc(5)). */
export function startedWith(pid: number): string {
  const read = (name: string) => readFileSync(`/proc/${pid}/${name}`, 'utf8');
  return `${read('cmdline')}\0${read('environ')}`;
}

/** The processes that one has started and that still run. */
export function childrenOf(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((thread) => {
    const text = readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').trim();
    return text === '' ? [] : text.split(' ').map(Number);
  });
}

const TCP_LISTEN = '0A';

/** The TCP ports, of IPv4, that a process listens on: for programs that do not tell what port 0 has become. */
export function listeningPorts(pid: number): number[] {
  const open = new Set(readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`)));
  const [, ...lines] = readFileSync(`/proc/${pid}/net/tcp`, 'utf8').trimEnd().split('\n');
  return lines.flatMap((line) => {
    const [, local, , state, , , , , , inode] = line.trim().split(/\s+/);
    const ours = state === TCP_LISTEN && open.has(`socket:[${inode}]`);
    return ours ? [Number.parseInt(local!.split(':')[1]!, 16)] : [];
  });
}

/** A process that has ended and was not waited for has no command line. */
export function isRunning(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`).length > 0;
  } catch {
    return false;
  }
}

const LOOK_EVERY_MS = 20;
const PATIENCE_MS = 10_000;

/** Waits for the end of a process that is not this one's child: there is no event for it. */
export async function gone(pid: number): Promise<void> {
  for (let waited = 0; isRunning(pid); waited += LOOK_EVERY_MS) {
    if (waited > PATIENCE_MS) throw new Error(`Process ${pid} still runs after ${PATIENCE_MS} ms.`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}

/** `keyless-tls serve`, or another command that prints events, as a process of its own, with files made for it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { KeyServerSetup } from './key-servers.ts';

export const MAIN = fileURLToPath(new URL('../../lib/cli/main.js', import.meta.url));

export type ServeEvent = Readonly<Record<string, unknown>> & { readonly event: string };

export class ServeProcess {
  readonly child: ChildProcess;
  readonly events: ServeEvent[] = [];
  readonly ended: Promise<number | NodeJS.Signals>;
  stderr = '';
  #hasEnded = false;
  #rest = '';
  readonly #waiting = new Set<() => void>();

  /** @param limits for the shell to set before, as `ulimit -n 64` */
  constructor(
    args: readonly string[],
    command = 'serve',
    env: NodeJS.ProcessEnv = process.env,
    limits?: string,
  ) {
    const line = [process.execPath, MAIN, command, '--json', ...args];
    if (limits !== undefined) line.unshift('sh', '-c', `${limits}; exec "$@"`, 'sh');
    this.child = spawn(line[0]!, line.slice(1), {
      stdio: ['ignore', 'pipe', 'pipe'],
      env,
    });
    this.child.stdout!.setEncoding('utf8').on('data', (text: string) => this.#take(text));
    this.child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
    this.ended = once(this.child, 'close').then(([code, signal]) => {
      this.#hasEnded = true;
      for (const wake of this.#waiting) wake();
      return code ?? signal;
    });
  }

  /** The first event that fits, now or when it comes; fails when the process ends before. */
  async event(name: string, fits: (event: ServeEvent) => boolean = () => true): Promise<ServeEvent> {
    for (;;) {
      const found = this.events.find((each) => each.event === name && fits(each));
      if (found !== undefined) return found;
      // Not as soon as it has exited: its last lines may be on their way.
      if (this.#hasEnded) {
        throw new Error(`it ended without the event ${name}: ${this.stderr}`);
      }
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
  }

  async port(): Promise<number> {
    return (await this.event('listening')).port as number;
  }

  #take(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop()!;
    for (const line of lines) this.events.push(JSON.parse(line) as ServeEvent);
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of waiting) wake();
  }
}

export interface ServeFiles {
  readonly folder: string;
  readonly path: (name: string) => string;
  /** Arguments of `serve` for a free port. */
  readonly args: readonly string[];
  remove(): void;
}

const OWNER_ONLY = { mode: 0o600 };

/** Files with the key server's credentials and the keys of all sites. */
export function serveFiles(setup: KeyServerSetup): ServeFiles {
  const folder = mkdtempSync(join(tmpdir(), 'keyless-tls-serve-'));
  const path = (name: string) => join(folder, name);
  writeFileSync(path('server.crt'), setup.server.certPem);
  writeFileSync(path('server.pem'), setup.server.keyPem, OWNER_ONLY);
  writeFileSync(path('ca.crt'), setup.authority.certPem);
  mkdirSync(path('keys'));
  chmodSync(path('keys'), 0o700);
  for (const [kind, site] of Object.entries(setup.sites)) {
    writeFileSync(path(`keys/${kind}.key`), site.keyPem, OWNER_ONLY);
  }
  const tls = ['--cert', path('server.crt'), '--key', path('server.pem'), '--ca', path('ca.crt')];
  return {
    folder,
    path,
    args: [...tls, '--keys', path('keys'), '--listen', '127.0.0.1:0'],
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

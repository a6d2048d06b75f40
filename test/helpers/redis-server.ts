/** Debian's redis-server, on a socket of its own, which keeps nothing. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient } from 'redis';

export class RedisServer {
  readonly child: ChildProcess;
  readonly #folder: string;
  readonly #ended: Promise<unknown>;

  private constructor(child: ChildProcess, folder: string) {
    this.child = child;
    this.#folder = folder;
    this.#ended = once(child, 'close');
  }

  static async start(): Promise<RedisServer> {
    const folder = mkdtempSync(join(tmpdir(), 'keyless-tls-redis-'));
    const options = ['--port', '0', '--unixsocket', join(folder, 'socket'), '--save', '', '--dir', folder];
    const child = spawn('redis-server', options, { stdio: ['ignore', 'pipe', 'inherit'] });
    const server = new RedisServer(child, folder);
    let said = '';
    for await (const text of child.stdout.setEncoding('utf8')) {
      said += text;
      if (/eady to accept connections/.test(said)) break;
    }
    return server;
  }

  /** A client that is connected; it does not try for ever. */
  async connect() {
    const socket = { path: join(this.#folder, 'socket'), tls: false as const, reconnectStrategy: 50 };
    const client = createClient({ socket });
    client.on('error', () => undefined);
    await client.connect();
    return client;
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.#ended;
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

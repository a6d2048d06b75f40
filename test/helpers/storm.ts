/** Clients that abort at random moments of the handshake, against test/soak/storm.ts in a process of its own. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import type { TestContext } from 'node:test';
import { connect } from 'node:tls';
import type { Issued } from './certificates.ts';

/** What the server process reports. */
export interface Report {
  readonly rss: number;
  readonly operations: number;
  readonly handshakes: number;
  readonly paused: number;
  readonly queued: number;
}

/** The server's process. */
export class StormServer {
  readonly port: number;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.port = port;
  }

  /** The process ends with the test, however that ends. */
  static async start(test: TestContext, { certPem, keyPem }: Issued, delayMs: number): Promise<StormServer> {
    const script = new URL('../soak/storm.js', import.meta.url);
    // V8 sizes its young generation by what it sees; that growth is not what is looked for.
    // So does glibc, arena by arena, by how the kernel schedules the threads.
    const child = fork(script, {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      env: { ...process.env, MALLOC_ARENA_MAX: '1' },
      execArgv: ['--expose-gc', '--max-semi-space-size=2'],
    });
    test.after(() => child.kill('SIGKILL'));
    child.send({ certPem, keyPem, delayMs });
    const [{ port }] = (await once(child, 'message')) as [{ port: number }];
    return new StormServer(child, port);
  }

  async report(): Promise<Report> {
    this.#child.send('report');
    const [report] = await once(this.#child, 'message');
    return report as Report;
  }

  /** Waits until no handshake is left. */
  async quiet(): Promise<Report> {
    for (;;) {
      const report = await this.report();
      if (report.handshakes === 0) return report;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** @returns the exit code and the signal of the server's process */
  async end(): Promise<readonly [number | null, string | null]> {
    const ended = once(this.#child, 'exit');
    this.#child.send('end');
    return (await ended) as [number | null, string | null];
  }
}

/** Park–Miller: the same storm for the same seed. @returns numbers from 0 to 1 */
export function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

const CONCURRENT = 40;
const MAX_LIFE_MS = 25;

function oneClient(port: number, random: () => number, done: () => void): void {
  const raw = net.connect(port, '127.0.0.1');
  const kinds = [
    {},
    { maxVersion: 'TLSv1.2' },
    { maxVersion: 'TLSv1.2', ciphers: 'AES128-GCM-SHA256' },
  ] as const;
  const kind = kinds[Math.floor(random() * kinds.length)];
  const client = connect({ socket: raw, rejectUnauthorized: false, ...kind });
  client.on('error', () => {});
  raw.on('error', () => {});
  const how = random();
  const lifeMs = random() * MAX_LIFE_MS;
  raw.on('connect', () => {
    setTimeout(() => {
      if (how < 0.4) raw.resetAndDestroy();
      else if (how < 0.7) raw.end(() => raw.destroy());
      else client.destroy();
    }, lifeMs);
  });
  raw.on('close', () => {
    client.destroy();
    done();
  });
}

/** Makes `count` connections and aborts each within 25 ms. */
export function storm(port: number, count: number, random: () => number): Promise<void> {
  return new Promise((resolve) => {
    let started = 0;
    let ended = 0;
    const next = () => {
      while (started < count && started - ended < CONCURRENT) {
        started += 1;
        oneClient(port, random, () => {
          ended += 1;
          if (ended === count) resolve();
          else next();
        });
      }
    };
    next();
  });
}

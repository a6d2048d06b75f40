/**
 * What does isolate add to the start of an app? An HTTPS server as its users write it, natively and with
 * `node --import keyless-tls/isolate`, in turn in one run, medians: `npm run bench:startup`.
 *
 * Wall-clock time from the start of the process until it listens, and until the first client, which connects at once, has its
 * handshake (TLS 1.3) done. `--rounds=25`, `--node=PATH` another Node.js, `--module=PATH` (more than once) another build's isolate.js.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import tls from 'node:tls';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { number, spread } from '../lib/cli/bench/figures-in-words.ts';
import { makeSiteFiles, type Site } from '../lib/cli/bench/sites.ts';
import { median } from '../lib/cli/bench/statistics.ts';
import { keyFile } from '../lib/cli/key-server-process.ts';

const APP = fileURLToPath(new URL('./startup-app.js', import.meta.url));
const ISOLATE = fileURLToPath(new URL('../lib/wrap/isolate.js', import.meta.url));
const WARM_UPS = 3;

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '21' },
    node: { type: 'string', default: process.execPath },
    module: { type: 'string', multiple: true, default: [ISOLATE] },
  },
});

/** Milliseconds since the process was started. */
interface Start {
  readonly listening: number;
  /** NaN: an app without a key. */
  readonly handshake: number;
}

async function portOf(child: ChildProcess): Promise<number> {
  const [line] = (await once(child.stdout!, 'data')) as [Buffer];
  return Number(line);
}

async function firstHandshake(port: number): Promise<void> {
  const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  socket.destroy();
}

async function start(execArgv: readonly string[], files: readonly string[]): Promise<Start> {
  const startedAt = performance.now();
  const child = spawn(options.node, [...execArgv, APP, ...files], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  try {
    const port = await portOf(child);
    const listening = performance.now() - startedAt;
    if (files.length === 0) return { listening, handshake: Number.NaN };
    await firstHandshake(port);
    return { listening, handshake: performance.now() - startedAt };
  } finally {
    child.kill('SIGKILL');
    await ended;
  }
}

const MOMENTS = ['listening', 'handshake'] as const;

/** @param sides by the options of Node.js */
async function compare(name: string, sides: ReadonlyMap<string, string[]>, files: string[]): Promise<void> {
  const starts = new Map([...sides.keys()].map((side) => [side, [] as Start[]]));
  for (let round = -WARM_UPS; round < Number(options.rounds); round += 1) {
    for (const [side, execArgv] of sides) {
      const figures = await start(execArgv, files);
      if (round >= 0) starts.get(side)!.push(figures);
    }
  }
  for (const moment of MOMENTS) {
    const native = median(starts.get('native')!.map((each) => each[moment]));
    if (Number.isNaN(native)) continue;
    for (const [side, figures] of starts) {
      const all = figures.map((each) => each[moment]);
      console.log(`${name}, ${moment}, ms: ${side} ${spread(all, number)}, +${number(median(all) - native)}`);
    }
  }
}

const sides = new Map([
  ['native', [] as string[]],
  ...options.module.map((path): [string, string[]] => [
    path === ISOLATE ? 'isolate' : path,
    ['--import', path],
  ]),
]);
const files = makeSiteFiles();
try {
  await compare('no key', sides, []);
  for (const site of ['RSA-2048', 'P-256'] as const satisfies readonly Site[]) {
    const cert = join(files.folder, `${site}.crt`);
    writeFileSync(cert, files.certs[site]);
    await compare(site, sides, [cert, keyFile(files, site)]);
  }
} finally {
  rmSync(files.folder, { recursive: true, force: true });
}

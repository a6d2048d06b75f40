/**
 * What does isolate add to the start of an app? An HTTPS server as its users write it, natively and with
 * `node --import keyless-tls/isolate`, in turn in one run, medians: `npm run bench:startup`.
 *
 * Wall-clock time from the start of the process until it listens, and until the first client, which connects at once, has its
 * handshake (TLS 1.3) done. `--rounds=25`, `--node=PATH` another Node.js, `--module=PATH` (more than once) another build's isolate.js.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import tls from 'node:tls';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import type { Watched } from '../lib/cli/bench/doubts.ts';
import { number, signed, spread } from '../lib/cli/bench/figures-in-words.ts';
import { childrenOf } from '../lib/cli/bench/process-figures.ts';
import { makeSiteFiles, type Site, type SiteFiles } from '../lib/cli/bench/sites.ts';
import { median } from '../lib/cli/bench/statistics.ts';
import { UsageError } from '../lib/cli/command.ts';
import { keyFile } from '../lib/cli/key-server-process.ts';
import { tellDisturbance, watch } from './alone.ts';
import { end, owned } from './children.ts';
import { cleaningUp, script, usage, type Word, wholeNumber } from './script.ts';

const APP = fileURLToPath(new URL('./startup-app.js', import.meta.url));
const ISOLATE = fileURLToPath(new URL('../lib/wrap/isolate.js', import.meta.url));
const WARM_UPS = 3;

interface Options {
  readonly rounds: number;
  /** Of Node.js. */
  readonly node: string;
  readonly module: readonly string[];
}

const moduleFile: Word<string> = (text) => {
  if (existsSync(text)) return text;
  throw new UsageError(`A module is a file; there is none at ${JSON.stringify(text)}.`, '');
};

function optionsOf(): Options {
  const { values } = usage(() =>
    parseArgs({
      options: {
        rounds: { type: 'string', default: '21' },
        node: { type: 'string', default: process.execPath },
        module: { type: 'string', multiple: true, default: [ISOLATE] },
      },
    }),
  );
  const rounds = wholeNumber('Rounds')(values.rounds);
  return { ...values, rounds, module: values.module.map(moduleFile) };
}

/** Milliseconds since the process was started. */
interface Start extends Watched {
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

async function start(node: string, execArgv: readonly string[], files: readonly string[]): Promise<Start> {
  const [startedAt, waitsOf] = [performance.now(), watch()];
  const child = spawn(node, [...execArgv, APP, ...files], { stdio: ['ignore', 'pipe', 'inherit'] });
  owned(child, 'The app');
  try {
    const port = await portOf(child);
    const listening = performance.now() - startedAt;
    if (files.length > 0) await firstHandshake(port);
    const handshake = files.length === 0 ? Number.NaN : performance.now() - startedAt;
    const pid = child.pid!;
    return { listening, handshake, waits: waitsOf(pid, [pid, ...childrenOf(pid)]) };
  } finally {
    await end(child);
  }
}

const MOMENTS = ['listening', 'handshake'] as const;

/** @returns the options of Node.js, by what a side is called */
function sidesOf(modules: readonly string[]): ReadonlyMap<string, readonly string[]> {
  const named = modules.map(
    (path) => [path === ISOLATE ? 'isolate' : path, ['--import', pathToFileURL(path).href]] as const,
  );
  return new Map<string, readonly string[]>([['native', []], ...named]);
}

async function compare(
  { node, rounds, module }: Options,
  name: string,
  files: readonly string[],
): Promise<void> {
  const sides = sidesOf(module);
  const starts = new Map([...sides.keys()].map((side) => [side, [] as Start[]]));
  for (let round = -WARM_UPS; round < rounds; round += 1) {
    for (const [side, execArgv] of sides) {
      const figures = await start(node, execArgv, files);
      if (round >= 0) starts.get(side)!.push(figures);
    }
  }
  for (const moment of MOMENTS) {
    const native = median(starts.get('native')!.map((each) => each[moment]));
    if (Number.isNaN(native)) continue;
    for (const [side, figures] of starts) {
      const all = figures.map((each) => each[moment]);
      console.log(`${name}, ${moment}, ms: ${side} ${spread(all, number)}, ${signed(median(all) - native)}`);
    }
  }
  tellDisturbance(Object.fromEntries(starts), 'the app');
}

async function measure(options: Options, files: SiteFiles): Promise<void> {
  await compare(options, 'no key', []);
  for (const site of ['RSA-2048', 'P-256'] as const satisfies readonly Site[]) {
    const cert = join(files.folder, `${site}.crt`);
    writeFileSync(cert, files.certs[site]);
    await compare(options, site, [cert, keyFile(files, site)]);
  }
}

await script('npm run bench:startup -- --rounds=21', async () => {
  const options = optionsOf();
  await cleaningUp(() => measure(options, makeSiteFiles()));
});

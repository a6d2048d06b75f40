/**
 * Runs the compiled tests, a process for each file: a crash of the addon fails its own file and no other.
 *
 * `node dist/test/run.js [--isolated] [--long] [part of a path ...]`; without arguments everything but test/soak and
 * test/interop, which needs programs that not every machine has. `--isolated`: every process of the tests runs under isolate,
 * so that what tests call native is isolated, and must tell the same. `--long`: all of what test/soak otherwise does a part
 * of, which takes hours. The exit code is the runner's. Node 20 knows no patterns on its command line, so the files are found
 * here.
 */
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('.', import.meta.url));
const ISOLATED = '--isolated';
const LONG = '--long';
const isolated = process.argv.includes(ISOLATED);
const isLong = process.argv.includes(LONG);
/** Of row 22 of docs/operations.md. */
const ALL_HANDSHAKES = '200000';
/**
 * They look at Node's own handles and keys, count all handshakes or operations of the engine, and compare with keys that answer at
 * once or take any version: under isolate these are others, or take time (in which a process that nothing holds ends), and are only
 * for its own copy of this package.
 */
const ABOUT_THE_ENGINE =
  /^tls\/(?:node-internals|node-callbacks|node-keys|addresses|called-twice|holder-behind|process-hold|premaster-version|time-outs|two-copies-by-name)\./;
const parts = process.argv.slice(2).filter((word) => word !== ISOLATED && word !== LONG);

const files = readdirSync(root, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.test.js') && !(isolated && ABOUT_THE_ENGINE.test(path)))
  .filter((path) =>
    parts.length === 0 ? !/^(?:soak|interop)\//.test(path) : parts.some((part) => path.includes(part)),
  )
  .sort()
  .map((path) => root + path);

const isolate = new URL('../lib/wrap/isolate.js', import.meta.url).href;

if (files.length === 0) {
  console.error(`No test file matches ${parts.join(' ')}.`);
  process.exit(1);
}
/** They measure memory and time, and take all of the machine: one after the other. */
const isSoak = files.some((path) => path.includes('/soak/'));
/** Milliseconds for one test, and for a file; it ends what hangs, so it is far above what a busy machine takes. */
const limitMs = isLong ? 4 * 3_600_000 : isSoak ? 900_000 : 600_000;
const env = { ...process.env };
if (isolated) env.NODE_OPTIONS = `--import=${isolate}`;
if (isLong) env.KEYLESS_TLS_HANDSHAKES ??= ALL_HANDSHAKES;
/** On two cores: tests wait for two fifths of their time. */
const FILES_AT_ONCE = 3;
const runner = spawn(
  process.execPath,
  [
    `--import=${new URL('lingering.js', import.meta.url).href}`,
    ...['--test', `--test-concurrency=${isSoak ? 1 : FILES_AT_ONCE}`, '--test-reporter=spec'],
    `--test-timeout=${limitMs}`,
    ...files,
  ],
  { stdio: 'inherit', env },
);
// Told to end alone (a terminal tells all), it must not leave the runner behind.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => runner.kill(signal));
runner.on('exit', (code, signal) => process.exit(signal === null ? (code ?? 1) : 1));

/** `keyless-tls run`: runs a program keyless, or isolated, without a change to it. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { configVariables } from '../wrap/config-environment.ts';
import { quoted } from '../wrap/node-options.ts';
import { type Command, parsePositionals, UsageError } from './command.ts';

const USAGE = `keyless-tls run: runs a program keyless, or isolated, without a change to it

Usage: keyless-tls run [--isolate] -- COMMAND [argument ...]

  --isolate   no key server: the program's private keys move into a process of their own (docs/isolate.md)

Without --isolate, key files that are stubs ("keyless-tls stub") are signed for by the key servers of keyless-tls.json in
the working directory, of the file of KEYLESS_TLS_CONFIG, or of KEYLESS_TLS_SERVERS, _CERT, _KEY and _CA. Every Node.js that
COMMAND starts takes part. Signals are passed on; the exit code is COMMAND's.

Example:
  keyless-tls run --isolate -- node app.js
`;

const OPTIONS = { isolate: { type: 'boolean', default: false } } as const;
const PASSED_ON = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR2'] as const;
const SIGNALLED = 128;

const EXIT_BY_SIGNAL: Readonly<Record<string, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGKILL: 9,
  SIGTERM: 15,
  SIGSEGV: 11,
  SIGABRT: 6,
};

/** Not `--import`: with any of those, Node loads CommonJS in another way, which stacks and async ids show. */
function nodeOptions(isolate: boolean): string {
  const module = new URL(isolate ? '../wrap/isolate.cjs' : '../wrap/register.cjs', import.meta.url);
  return `${process.env.NODE_OPTIONS ?? ''} --require=${quoted(fileURLToPath(module))}`.trim();
}

function runProgram(args: readonly string[]): Promise<number> {
  const { values, positionals } = parsePositionals('run', args, OPTIONS);
  const [program, ...rest] = positionals;
  if (program === undefined) throw new UsageError('It needs a command after "--".', 'keyless-tls run --help');
  // COMMAND may change the directory before it starts Node.js.
  const found = values.isolate ? {} : configVariables(process.env, process.cwd());
  const env = { ...process.env, ...found, NODE_OPTIONS: nodeOptions(values.isolate) };
  const child = spawn(program, rest, { stdio: 'inherit', env });
  for (const signal of PASSED_ON) process.on(signal, () => child.kill(signal));
  return new Promise((resolve, reject) => {
    child.on('error', (cause) => {
      reject(
        new UsageError(
          `${JSON.stringify(program)} cannot be started: ${cause.message}`,
          'keyless-tls run --help',
        ),
      );
    });
    child.on('exit', (code, signal) => resolve(code ?? SIGNALLED + (EXIT_BY_SIGNAL[signal ?? ''] ?? 0)));
  });
}

/** See {@link USAGE}. */
export const run: Command = { usage: USAGE, run: runProgram };

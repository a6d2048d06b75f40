/** `keyless-tls run`: runs a program keyless, or isolated, without a change to it. */
import { fileURLToPath } from 'node:url';
import { becomeProgram } from '../engine/program.ts';
import { configVariables } from '../wrap/config-environment.ts';
import { quoted } from '../wrap/node-options.ts';
import { argumentBytes } from './argument-bytes.ts';
import { type Command, parsePositionals, UsageError } from './command.ts';

const USAGE = `keyless-tls run: runs a program keyless, or isolated, without a change to it

Usage: keyless-tls run [--isolate] -- COMMAND [argument ...]

  --isolate   no key server: the program's private keys move into a process of their own (docs/isolate.md)

Without --isolate, key files that are stubs ("keyless-tls stub") are signed for by the key servers of keyless-tls.json in
the working directory, of the file of KEYLESS_TLS_CONFIG, or of KEYLESS_TLS_SERVERS, _CERT, _KEY and _CA. Every Node.js that
COMMAND starts takes part. COMMAND takes the place of this process: it has its number, its signals and its exit code. Node.js,
which ran before it, leaves it the hard limit of open files as the soft one, and no signals ignored (nohup).

Example:
  keyless-tls run --isolate -- node app.js
`;

const OPTIONS = { isolate: { type: 'boolean', default: false } } as const;

/** Not `--import`: with any of those, Node loads CommonJS in another way, which stacks and async ids show. */
function nodeOptions(isolate: boolean): string {
  const module = new URL(isolate ? '../wrap/isolate.cjs' : '../wrap/register.cjs', import.meta.url);
  return `${process.env.NODE_OPTIONS ?? ''} --require=${quoted(fileURLToPath(module))}`.trim();
}

/** By being it: a process in between would have to pass on all that a program can be told by its parent, and cannot. */
function runProgram(args: readonly string[]): never {
  const { values, positionals } = parsePositionals('run', args, OPTIONS);
  const [program] = positionals;
  if (program === undefined) throw new UsageError('It needs a command after "--".', 'keyless-tls run --help');
  // COMMAND may change the directory before it starts Node.js.
  const found = values.isolate ? {} : configVariables(process.env, process.cwd());
  Object.assign(process.env, found, { NODE_OPTIONS: nodeOptions(values.isolate) });
  try {
    becomeProgram(argumentBytes(positionals));
  } catch (cause) {
    const reason = (cause as Error).message;
    throw new UsageError(`${JSON.stringify(program)} cannot be started: ${reason}`, 'keyless-tls run --help');
  }
}

/** See {@link USAGE}. */
export const run: Command = { usage: USAGE, run: runProgram };

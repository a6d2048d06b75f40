#!/usr/bin/env node
/** The command line: finds the command, prints help, turns errors into a message and an exit code. */
import { readFileSync } from 'node:fs';
import { type Command, UsageError } from './command.ts';
import { outliveTerminal } from './lost-terminal.ts';
import { print, unlessLost } from './standard-output.ts';

/** Loaded when it is called: the key server's process has no use for the engine. */
const COMMANDS: ReadonlyMap<string, () => Promise<Command>> = new Map([
  ['demo', async () => (await import('./demo.ts')).demo],
  ['serve', async () => (await import('./serve.ts')).serve],
  ['init', async () => (await import('./init.ts')).init],
  ['check', async () => (await import('./check.ts')).check],
  ['stub', async () => (await import('./stub.ts')).stub],
  ['run', async () => (await import('./run.ts')).run],
  ['proxy', async () => (await import('./proxy.ts')).proxy],
  ['bench', async () => (await import('./bench.ts')).bench],
  ['audit', async () => (await import('./audit.ts')).audit],
  ['revoke', async () => (await import('./revoke.ts')).revoke],
]);

/**
 * Those that SIGHUP tells to read their files again, and which it does not end. While they start it does nothing: what changes
 * then is read when they look for changes.
 */
const RELOADED: ReadonlySet<string> = new Set(['serve', 'proxy']);

const USAGE = `keyless-tls: TLS servers without a private key

Usage: keyless-tls <command> [options]
       keyless-tls <command> --help
       keyless-tls --version

Commands:
  demo     a key server, an HTTPS edge without a key, and a page that shows each operation
  serve    the key server: holds private keys, signs TLS handshakes and nothing else
  init     a private authority, certificates for key server and edges, a policy
  check    tries an edge's way to its key servers, and says what is wrong
  stub     a file that stands in for a key that is on a key server
  run      runs a program keyless, or isolated, without a change to it
  proxy    terminates TLS for any backend, with keys that are elsewhere
  bench    what a handshake costs, native and remote, on this machine
  audit    looks at a key server's audit log: is it what was written?
  revoke   turns a client of a key server away

Exit codes: 0 well, 1 failed, 2 called wrongly.

Examples:
  keyless-tls demo
  keyless-tls serve --cert server.crt --key server.pem --ca edges-ca.crt --keys ./keys
`;

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

function version(): string {
  const manifest = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(manifest) as { version: string }).version;
}

/** @param values the arguments after the program's name; @returns the exit code */
async function run(values: readonly string[]): Promise<number> {
  const [name, ...rest] = values;
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    if (name === undefined) unlessLost(process.stderr).write(USAGE);
    else await print(USAGE);
    return name === undefined ? EXIT_USAGE : 0;
  }
  if (name === '--version') {
    await print(`${version()}\n`);
    return 0;
  }
  const load = COMMANDS.get(name);
  if (load === undefined)
    throw new UsageError(`There is no command ${JSON.stringify(name)}.`, 'keyless-tls --help');
  if (RELOADED.has(name)) process.on('SIGHUP', () => undefined);
  const command = await load();
  const own = rest.includes('--') ? rest.slice(0, rest.indexOf('--')) : rest;
  if (own.includes('--help') || own.includes('-h')) {
    await print(command.usage);
    return 0;
  }
  return command.run(rest);
}

function report(error: unknown): number {
  const output = unlessLost(process.stderr);
  if (error instanceof UsageError) {
    output.write(`keyless-tls: ${error.message}\nTry: ${error.hint}\n`);
    return EXIT_USAGE;
  }
  const { message, code } = error as NodeJS.ErrnoException;
  output.write(`keyless-tls: ${message}${code === undefined ? '' : ` [${code}]`}\n`);
  return EXIT_FAILED;
}

outliveTerminal();
process.exitCode = await run(process.argv.slice(2)).catch(report);

/** The end of a command whose standard output cannot be written, or is not read: in time, with the exit code that it would have. */
import assert from 'node:assert/strict';
import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, openSync, readFileSync, truncateSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { connectKeyServers } from '../../lib/index.ts';
import { auditFiles } from '../../lib/server/audit-files.ts';
import { until } from '../helpers/edge.ts';
import { type KeyServerSetup, makeKeyServers } from '../helpers/key-servers.ts';
import { signOperation } from '../helpers/operations.ts';
import { MAIN, type ServeFiles, ServeProcess, serveFiles } from '../helpers/serve-process.ts';

/** What serve may take to its end (docs/key-server.md), and a slow machine. */
const IN_TIME = { timeout: 120_000 };

let setup: KeyServerSetup;
let files: ServeFiles;
const running: ChildProcess[] = [];

before(async () => {
  setup = await makeKeyServers(['p256']);
  files = serveFiles(setup);
});
after(() => {
  for (const child of running) child.kill('SIGKILL');
  files.remove();
});

/** @param limits for the shell to set before */
function serveTo(output: string, limits: string, ...more: string[]): ChildProcess {
  const args = ['-c', `${limits} exec "$@"`, 'sh', process.execPath, MAIN, 'serve', ...files.args, ...more];
  const stdio: StdioOptions = ['ignore', openSync(output, 'a'), 'pipe'];
  const child = spawn('sh', args, { stdio });
  running.push(child);
  return child;
}

/** The audit log is opened when signals are waited for. */
const isRunning = (audit: string) => existsSync(audit) && auditFiles(audit).length > 0;

test('serve whose output cannot be written ends at SIGTERM', IN_TIME, async () => {
  const audit = files.path('audit-term');
  const child = serveTo('/dev/full', '', '--audit', audit);
  await until(() => isRunning(audit));
  child.kill('SIGTERM');
  assert.deepEqual(await once(child, 'exit'), [0, null]);
});

/** Of `ulimit -f`, in blocks of 512 bytes: a disk that is full for one process. */
const MAX_BLOCKS = 64;

test(
  'serve whose audit log and output are on one full disk ends at once, and has failed',
  IN_TIME,
  async () => {
    const [audit, output] = [files.path('audit-full'), files.path('output')];
    const child = serveTo(output, `ulimit -f ${MAX_BLOCKS};`, '--audit', audit);
    let stderr = '';
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    const port = () => /listening .*port=(\d+)/.exec(readFileSync(output, 'utf8'))?.[1];
    await until(() => port() !== undefined);
    const keys = connectKeyServers({ servers: [`127.0.0.1:${port()}`], ...setup.edgeOptions });
    await keys.ready();
    for (const path of [output, ...auditFiles(audit)]) truncateSync(path, MAX_BLOCKS * 512);
    const asked = assert.rejects(keys.sign(signOperation(setup.sites.p256!.keyId)));
    assert.deepEqual(await once(child, 'close'), [1, null]);
    assert.match(stderr, /The audit log cannot be written: EFBIG/);
    keys.close();
    await asked;
  },
);

/** Lines of more than a pipe and its reader's buffer hold. */
const ENOUGH = 1500;

test('serve whose output nobody reads ends at SIGTERM', IN_TIME, async () => {
  const serve = new ServeProcess([...files.args]);
  running.push(serve.child);
  // Many wait for room, on a slow machine for long.
  const timeoutMs = 240_000;
  const servers = [`127.0.0.1:${await serve.port()}`];
  const keys = connectKeyServers({ servers, ...setup.edgeOptions, timeoutMs });
  serve.child.stdout!.pause();
  const nobodys = Buffer.alloc(20, 7);
  const patient = signOperation(nobodys, undefined, undefined, timeoutMs);
  const ask = () => assert.rejects(keys.sign(patient), { code: 'ERR_KEYLESS_KEY_NOT_FOUND' });
  await Promise.all(Array.from({ length: ENOUGH }, ask));
  keys.close();
  serve.child.kill('SIGTERM');
  assert.deepEqual(await once(serve.child, 'exit'), [0, null]);
  await serve.ended;
  assert.ok(!serve.events.some(({ event }) => event === 'ended'), 'its last line is lost');
});

/** Runs its arguments in a terminal, but with /dev/null as its output; the terminal goes when there is a line to read. */
const IN_TERMINAL = `
import os, pty, sys
child, terminal = pty.fork()
if child == 0:
  nothing = os.open('/dev/null', os.O_WRONLY)
  os.dup2(nothing, 1); os.dup2(nothing, 2)
  os.execvp(sys.argv[1], sys.argv[1:])
sys.stdin.readline()
os.close(terminal)
print(child, flush=True)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
`;

test('serve whose terminal has gone goes on, and ends well at SIGTERM', IN_TIME, async () => {
  const audit = files.path('audit-terminal');
  const serve = [process.execPath, MAIN, 'serve', ...files.args, '--audit', audit];
  const python = spawn('python3', ['-c', IN_TERMINAL, ...serve], { stdio: ['pipe', 'pipe', 'inherit'] });
  running.push(python);
  await until(() => isRunning(audit));
  python.stdin!.write('\n');
  const lines = createInterface(python.stdout!)[Symbol.asyncIterator]();
  process.kill(Number((await lines.next()).value), 'SIGTERM');
  assert.equal((await lines.next()).value, '0');
});

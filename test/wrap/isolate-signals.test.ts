/** Signals that an app answers: the processes with its keys live on, whoever else they reach. */
import assert from 'node:assert/strict';
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import https from 'node:https';
import { constants } from 'node:os';
import { afterEach, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Issued, makeAuthority } from '../helpers/certificates.ts';
import { childrenOf } from '../helpers/child-processes.ts';

const APP = fileURLToPath(new URL('../helpers/isolated-app.js', import.meta.url));
const ISOLATE = new URL('../../lib/wrap/isolate.js', import.meta.url);
const KEY_PROCESS = fileURLToPath(new URL('../../lib/keepers/key-process-main.cjs', import.meta.url));

const NOT_FOR_AN_APP = ['KILL', 'STOP', 'SEGV', 'BUS', 'FPE', 'ILL', 'TRAP', 'SYS'].map(
  (name) => `SIG${name}`,
);
/** Some have two names. */
const SIGNALS = [
  ...new Map(Object.entries(constants.signals).map(([name, number]) => [number, name])).values(),
].filter((name) => !NOT_FOR_AN_APP.includes(name)) as NodeJS.Signals[];

const ANSWERS_ALL = `for (const name of ${JSON.stringify(SIGNALS)}) process.on(name, () => process.send({ answered: name }))`;

let issued: Issued;
before(async () => {
  const authority = await makeAuthority();
  issued = await authority.issue({ type: 'p256' });
});

const apps: ChildProcess[] = [];
afterEach(() => {
  for (const child of apps.splice(0)) child.kill('SIGKILL');
});

interface App {
  readonly pid: number;
  readonly port: number;
  readonly told: Record<string, unknown>[];
  /** Resolves with the first message that is such. */
  message(is: (told: Record<string, unknown>) => boolean): Promise<Record<string, unknown>>;
}

/** The leader of a process group, as a shell starts it. */
async function start(): Promise<App> {
  const first = `data:text/javascript,${encodeURIComponent(ANSWERS_ALL)}`;
  const execArgv = ['--import', ISOLATE.href, '--import', first];
  const child = fork(APP, { execArgv, stdio: ['ignore', 'inherit', 'inherit', 'ipc'], detached: true });
  apps.push(child);
  const told: Record<string, unknown>[] = [];
  child.on('message', (message) => told.push(message as Record<string, unknown>));
  const message: App['message'] = async (is) => {
    for (;;) {
      const found = told.find(is);
      if (found !== undefined) return found;
      await once(child, 'message');
    }
  };
  child.send({ certPem: issued.certPem, keyPem: issued.keyPem });
  const { port } = await message((each) => 'port' in each);
  return { pid: child.pid!, port: port as number, told, message };
}

function visit(port: number): Promise<string> {
  const options = { port, host: '127.0.0.1', rejectUnauthorized: false, agent: false };
  return new Promise((resolve) => {
    const request = https.get(options, (response) => response.resume().on('end', () => resolve('served')));
    request.on('error', (error: NodeJS.ErrnoException) => resolve(String(error.code)));
  });
}

test('a signal to the group of the app is for the app, also while the processes with the keys start', async () => {
  const { pid, port, told, message } = await start();
  const holders = childrenOf(pid);
  assert.equal(holders.length, 2);
  for (const signal of SIGNALS) {
    process.kill(-pid, signal);
    await message(({ answered }) => answered === signal);
  }
  assert.equal(await visit(port), 'served');
  assert.deepEqual(childrenOf(pid), holders);
  assert.deepEqual(
    told.filter(({ warning }) => warning !== undefined),
    [],
  );
});

test('a signal to the processes with the keys does nothing, and opens no debugger', async () => {
  const { pid, port, told } = await start();
  assert.equal(await visit(port), 'served');
  const holders = childrenOf(pid);
  for (const holder of holders) {
    while (!/^Seccomp:\t2$/m.test(readFileSync(`/proc/${holder}/status`, 'utf8')))
      await new Promise(setImmediate);
    for (const signal of SIGNALS) process.kill(holder, signal);
  }
  for (let count = 0; count < 5; count += 1) assert.equal(await visit(port), 'served');
  assert.deepEqual(childrenOf(pid), holders);
  assert.deepEqual(
    told.filter((each) => !('port' in each)),
    [],
  );
});

test('a process that is to hold keys, and in which a debugger is open, ends', async () => {
  const child = spawn(process.execPath, ['--inspect=127.0.0.1:0', KEY_PROCESS, 'try'], {
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
    env: {},
  });
  const [code] = await once(child, 'exit');
  assert.equal(code, 79);
});

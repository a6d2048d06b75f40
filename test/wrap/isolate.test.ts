/** `node --import keyless-tls/isolate app.js`: the process that holds the keys, and the app when it goes. */
import assert from 'node:assert/strict';
import { type ChildProcess, fork, spawnSync } from 'node:child_process';
import { createPrivateKey } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import https from 'node:https';
import { afterEach, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Issued, makeAuthority } from '../helpers/certificates.ts';
import { childrenOf, ended } from '../helpers/child-processes.ts';
import { stopwatch } from '../helpers/stopwatch.ts';

const APP = fileURLToPath(new URL('../helpers/isolated-app.js', import.meta.url));
const ISOLATE = new URL('../../lib/wrap/isolate.js', import.meta.url);

let issued: Issued;
let rsa: Issued;
before(async () => {
  const authority = await makeAuthority();
  [issued, rsa] = await Promise.all([authority.issue({ type: 'p256' }), authority.issue({ type: 'rsa' })]);
});

interface App {
  readonly child: ChildProcess;
  readonly port: number;
  readonly errors: string[];
}

const apps: ChildProcess[] = [];
afterEach(() => {
  for (const child of apps.splice(0)) child.kill('SIGKILL');
});

async function start(site = issued, execArgv = ['--import', ISOLATE.href]): Promise<App> {
  const child = fork(APP, { execArgv, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  apps.push(child);
  const errors: string[] = [];
  child.on('message', (message) => {
    const { error } = message as { error?: string };
    if (error !== undefined) errors.push(error);
  });
  child.send({ certPem: site.certPem, keyPem: site.keyPem });
  const [{ port }] = (await once(child, 'message')) as [{ port: number }];
  return { child, port, errors };
}

/** One request on a connection of its own. @returns the body, or the code of the error */
function visit(port: number, options: https.RequestOptions = {}): Promise<string> {
  return new Promise((resolve) => {
    const request = https.get(
      { port, host: '127.0.0.1', rejectUnauthorized: false, agent: false, ...options },
      (response) => {
        let body = '';
        response.on('data', (data) => (body += data));
        response.on('end', () => resolve(body));
      },
    );
    request.on('error', (error: NodeJS.ErrnoException) => resolve(String(error.code)));
  });
}

/** Resolves when the process has started and takes no more system calls than it needs. */
async function hardened(pid: number): Promise<void> {
  const status = () => readFileSync(`/proc/${pid}/status`, 'utf8');
  while (!/^NoNewPrivs:\t1$/m.test(status()) || !/^Seccomp:\t2$/m.test(status()))
    await new Promise(setImmediate);
}

test('an app serves as before, by --import and by --require', async () => {
  for (const execArgv of [
    ['--import', ISOLATE.href],
    ['--require', fileURLToPath(ISOLATE).replace(/js$/, 'cjs')],
  ]) {
    const { port, child } = await start(rsa, execArgv);
    assert.equal(await visit(port), 'hello');
    assert.equal(await visit(port, { maxVersion: 'TLSv1.2', ciphers: 'AES128-GCM-SHA256' }), 'hello');
    assert.equal(childrenOf(child.pid!).length, 2);
  }
});

test('the processes with the keys have nothing of the app, and have given up what they do not need', async () => {
  const { child, port } = await start();
  assert.equal(await visit(port), 'hello');
  for (const pid of childrenOf(child.pid!)) {
    // Before it is hardened it is called what it was started as.
    await hardened(pid);
    const line = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
    assert.equal(line, 'keyless-tls keys');
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    // An app that was root, and is not any more, leaves no root behind.
    assert.doesNotMatch(status, /^[UG]id:.*\t0\b/m);
    assert.match(status, /^CapEff:\t0+$/m);
    assert.match(readFileSync(`/proc/${pid}/limits`, 'utf8'), /^Max open files +0 +0 /m);
  }
});

/** At once: neither is there when the other's place is taken. */
function killTogether(pids: readonly number[]): void {
  for (const signal of ['SIGSTOP', 'SIGKILL'] as const) for (const pid of pids) process.kill(pid, signal);
}

async function messageWith(child: ChildProcess, name: string): Promise<unknown> {
  for (;;) {
    const [message] = (await once(child, 'message')) as [Record<string, unknown>];
    if (name in message) return message[name];
  }
}

test('one of the processes is killed: the app goes on, is warned once, and another takes its place', async () => {
  const { child, port, errors } = await start();
  assert.equal(await visit(port), 'hello');
  const [first, second] = childrenOf(child.pid!) as [number, number];
  const warned = messageWith(child, 'warning');
  process.kill(first, 'SIGKILL');
  const during = await Promise.all(Array.from({ length: 10 }, () => visit(port)));
  assert.deepEqual([...new Set(during)], ['hello']);
  assert.equal(await warned, 'KEYLESS_KEY_PROCESS_ENDED');
  let now = childrenOf(child.pid!);
  while (now.length < 2 || now.includes(first)) {
    await new Promise(setImmediate);
    now = childrenOf(child.pid!);
  }
  assert.ok(now.includes(second));
  assert.deepEqual(errors, []);
});

test('both processes are killed: handshakes fail with our code; keys that the app gives again, or others, work', async () => {
  for (const renewed of [issued, rsa]) {
    const { child, port, errors } = await start();
    assert.equal(await visit(port), 'hello');
    const pids = childrenOf(child.pid!);
    killTogether(pids);
    await Promise.all(pids.map(ended));
    assert.match(await visit(port), /EPROTO|ALERT_INTERNAL_ERROR|ECONNRESET/);
    while (errors.length === 0) await once(child, 'message');
    assert.equal(errors[0], 'ERR_KEYLESS_CONNECTION');
    const answered = messageWith(child, 'renewed');
    child.send({ certPem: renewed.certPem, keyPem: renewed.keyPem });
    await answered;
    assert.equal(await visit(port), 'hello');
    assert.equal(child.exitCode, null);
  }
});

test('operations that are pending when their process is killed are repeated by the other', async () => {
  const { child, port } = await start();
  assert.equal(await visit(port), 'hello');
  const [first] = childrenOf(child.pid!) as [number];
  process.kill(first, 'SIGSTOP');
  const pending = [visit(port), visit(port)];
  // The requests are in the stopped process's socket when the connections have sent their hello.
  await visitUntilPending(port);
  process.kill(first, 'SIGKILL');
  assert.deepEqual(await Promise.all(pending), ['hello', 'hello']);
});

test('a stopped process is asked nothing for longer than a second: the other one answers, and the first again when it is continued', async () => {
  const { child, port, errors } = await start();
  assert.equal(await visit(port), 'hello');
  const [first, second] = childrenOf(child.pid!) as [number, number];
  process.kill(first, 'SIGSTOP');
  const answered = stopwatch();
  assert.deepEqual(await Promise.all([visit(port), visit(port)]), ['hello', 'hello']);
  const ms = answered();
  assert.ok(ms < 1900, `a second after the question, not ${ms} ms`);
  const took = stopwatch();
  assert.equal(await visit(port), 'hello');
  assert.ok(took() < 900, 'one that is known to be stopped is not asked');
  // What it was asked before is answered now, to nobody.
  process.kill(first, 'SIGCONT');
  process.kill(second, 'SIGSTOP');
  assert.equal(await visit(port), 'hello');
  assert.deepEqual(errors, []);
});

test('both processes are stopped: handshakes fail at their time-out, and succeed when one is continued', async () => {
  const { child, port, errors } = await start();
  assert.equal(await visit(port), 'hello');
  const holders = childrenOf(child.pid!);
  for (const pid of holders) process.kill(pid, 'SIGSTOP');
  const failed = visit(port);
  while (errors.length === 0) await once(child, 'message');
  assert.deepEqual(errors, ['ERR_KEYLESS_TIMEOUT']);
  assert.match(await failed, /EPROTO|ALERT_INTERNAL_ERROR|ECONNRESET/);
  process.kill(holders[1]!, 'SIGCONT');
  assert.equal(await visit(port), 'hello');
});

test('a stopped process with keys does not outlive the app, however that ends', async () => {
  const { child, port } = await start();
  assert.equal(await visit(port), 'hello');
  const holders = childrenOf(child.pid!);
  await Promise.all(holders.map(hardened));
  for (const pid of holders) process.kill(pid, 'SIGSTOP');
  child.kill('SIGKILL');
  await Promise.all(holders.map(ended));
});

test('a flood of handshakes is answered, every one', async () => {
  const { port, errors } = await start(rsa);
  const answers = await Promise.all(Array.from({ length: 400 }, () => visit(port)));
  assert.deepEqual([...new Set(answers)], ['hello']);
  assert.deepEqual(errors, []);
});

/** A round trip over TCP after the handshakes began: what they sent before was read before. */
async function visitUntilPending(port: number): Promise<void> {
  const aborted = https.get({ port, host: '127.0.0.1', rejectUnauthorized: false, agent: false });
  aborted.on('error', () => undefined);
  const [socket] = await once(aborted, 'socket');
  await once(socket, 'connect');
  await new Promise(setImmediate);
  aborted.destroy();
}

test('whichever way the app ends, the processes with its keys end', async () => {
  for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
    const { child } = await start();
    const holders = childrenOf(child.pid!);
    assert.equal(holders.length, 2);
    // A signal to the group is for the app to answer.
    for (const pid of holders) process.kill(pid, 'SIGINT');
    child.kill(signal);
    await once(child, 'exit');
    await Promise.all(holders.map(ended));
  }
});

test('an app without keys starts no process, and one that has nothing to do ends', () => {
  const source = `
    const tls = require('node:tls');
    tls.createSecureContext();
    console.log(require('node:fs').readdirSync('/proc/self/task').length > 0 && process._getActiveHandles().length);`;
  const { stdout, status } = spawnSync(process.execPath, ['--import', ISOLATE.href, '-e', source], {
    encoding: 'utf8',
  });
  assert.equal(status, 0);
  assert.ok(Number(stdout) <= 2, stdout);
  const withKey = `require('node:tls').createSecureContext({ cert: process.env.CERT, key: process.env.KEY })`;
  const env = { ...process.env, CERT: issued.certPem, KEY: issued.keyPem };
  const done = spawnSync(process.execPath, ['--import', ISOLATE.href, '-e', withKey], {
    env,
    timeout: 120_000,
  });
  assert.equal(done.status, 0, String(done.stderr));
});

const BAD_CONTEXTS: readonly [what: string, code: string][] = [
  ['a passphrase that is wrong', 'tls.createSecureContext({ cert, key: encrypted, passphrase: "no" })'],
  ['a passphrase that is missing', 'tls.createSecureContext({ cert, key: encrypted })'],
  ['a key that is none', 'tls.createSecureContext({ cert, key: "none" })'],
  ['a key of another certificate', 'tls.createSecureContext({ cert, key: other })'],
  ['a pfx that is none', 'tls.createSecureContext({ pfx: Buffer.from("none") })'],
  ['a key of a wrong type', 'tls.createSecureContext({ cert, key: 7 })'],
];

const ENCRYPTED = { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'yes' } as const;

for (const [what, code] of BAD_CONTEXTS) {
  test(`${what} has the same error as natively`, () => {
    const source = `
      const tls = require('node:tls');
      const { cert, key, other, encrypted } = JSON.parse(process.env.FILES);
      try { ${code}; console.log('no error'); } catch ({ code, message }) { console.log(JSON.stringify({ code, message })); }`;
    const { certPem: cert, keyPem: key } = issued;
    // Encrypted once: what a wrong passphrase makes of it depends on the salt.
    const encrypted = createPrivateKey(key).export(ENCRYPTED);
    const env = { ...process.env, FILES: JSON.stringify({ cert, key, other: rsa.keyPem, encrypted }) };
    const [native, isolated] = [[], ['--import', ISOLATE.href]].map(
      (args) => spawnSync(process.execPath, [...args, '-e', source], { env, encoding: 'utf8' }).stdout,
    );
    assert.notEqual(native, '');
    assert.equal(isolated, native);
  });
}

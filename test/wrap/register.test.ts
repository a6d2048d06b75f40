/** Apps that read a stub as their key, under `keyless-tls run` and `node --import keyless-tls/register`. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { on, once } from 'node:events';
import { writeFileSync } from 'node:fs';
import https from 'node:https';
import type { Readable } from 'node:stream';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { makeStub, readStub } from '../../lib/wrap/stub.ts';
import { makeAuthority } from '../helpers/certificates.ts';
import { type KeyServerSetup, makeKeyServers } from '../helpers/key-servers.ts';
import { MAIN, type ServeFiles, ServeProcess, serveFiles } from '../helpers/serve-process.ts';

let setup: KeyServerSetup;
let files: ServeFiles;
let serve: ServeProcess;
let port: number;
const children: ChildProcess[] = [];

before(async () => {
  setup = await makeKeyServers(['p256', 'rsa']);
  files = serveFiles(setup);
  serve = new ServeProcess([...files.args, '--allow-decrypt', 'rsa.key']);
  port = await serve.port();
  writeFileSync(files.path('edge.crt'), setup.edge.certPem);
  writeFileSync(files.path('edge.key'), setup.edge.keyPem, { mode: 0o600 });
  for (const kind of ['p256', 'rsa']) {
    writeFileSync(files.path(`${kind}.crt`), setup.sites[kind]!.certPem);
    writeFileSync(files.path(`${kind}.stub`), stubOf(kind));
  }
  writeFileSync(files.path('native.key'), setup.sites.p256!.keyPem, { mode: 0o600 });
  writeFileSync(files.path('app.mjs'), APP);
  writeFileSync(files.path('keyless-tls.json'), config());
});
afterEach(async () => {
  // SIGTERM is passed on to the app; SIGKILL could not be.
  for (const child of children.splice(0)) {
    if (child.exitCode === null && child.kill('SIGTERM')) await once(child, 'exit');
  }
});
after(async () => {
  serve.child.kill('SIGTERM');
  await serve.ended;
  files.remove();
});

/** As its users write it: it knows files, and nothing of keyless-tls. */
const APP = `
import { createServer } from 'node:https';
import { readFileSync } from 'node:fs';
const [certs, keys] = process.argv.slice(2).map((list) => list.split(',').map((path) => readFileSync(path)));
const key = keys.length === 1 ? keys[0] : keys.map((pem) => ({ pem }));
const server = createServer({ cert: certs.length === 1 ? certs[0] : certs, key }, (_, response) => response.end('hello'));
server.on('tlsClientError', ({ code }) => console.log(JSON.stringify({ error: code })));
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port })));
`;

function config(more: object = {}): string {
  const names = {
    servers: [`127.0.0.1:${port}`],
    servername: 'localhost',
    cert: 'edge.crt',
    key: 'edge.key',
    ca: 'ca.crt',
  };
  return JSON.stringify({ version: 1, ...names, ...more });
}

function stubOf(kind: string): string {
  return makeStub(new X509Certificate(setup.sites[kind]!.certPem));
}

interface App {
  readonly child: ChildProcess;
  readonly port: number;
}

async function start(certs: string[], keys: string[], env: NodeJS.ProcessEnv = {}): Promise<App> {
  const list = (names: string[]) => names.map((name) => files.path(name)).join();
  const args = [MAIN, 'run', '--', process.execPath, files.path('app.mjs'), list(certs), list(keys)];
  const child = spawn(process.execPath, args, {
    cwd: files.folder,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  child.stderr.on('data', (text: Buffer) => process.stderr.write(text));
  const [line] = (await once(child.stdout!, 'data')) as [Buffer];
  return { child, port: (JSON.parse(String(line)) as { port: number }).port };
}

/** Resolves when a stream has said it. */
async function textIn(stream: Readable, pattern: RegExp): Promise<void> {
  let text = '';
  for await (const [chunk] of on(stream, 'data') as AsyncIterable<[Buffer]>) {
    text += String(chunk);
    if (pattern.test(text)) return;
  }
}

function visit(target: number, options: https.RequestOptions = {}): Promise<string> {
  return new Promise((resolve) => {
    const request = https.get({
      port: target,
      host: '127.0.0.1',
      rejectUnauthorized: false,
      agent: false,
      ...options,
    });
    request.on('response', (response) => {
      let body = '';
      response.on('data', (data) => (body += data));
      response.on('end', () => resolve(body));
    });
    request.on('error', (error: NodeJS.ErrnoException) => resolve(String(error.code)));
  });
}

const operations = () =>
  serve.events.filter(({ event, kind }) => event === 'operation' && kind === 'sign').length;

test('an app with a stub serves, and its key server signs', async () => {
  const earlier = operations();
  const app = await start(['p256.crt'], ['p256.stub']);
  assert.equal(await visit(app.port), 'hello');
  assert.equal(await visit(app.port, { maxVersion: 'TLSv1.2' }), 'hello');
  await serve.event('operation', () => operations() === earlier + 2);
  app.child.kill('SIGTERM');
  assert.deepEqual(await once(app.child, 'exit'), [null, 'SIGTERM']);
});

test('two certificates with stubs beside each other, and a stub beside a real key', async () => {
  for (const keys of [
    ['p256.stub', 'rsa.stub'],
    ['rsa.stub', 'p256.stub'],
    ['native.key', 'rsa.stub'],
  ]) {
    const app = await start(['p256.crt', 'rsa.crt'], keys);
    assert.equal(await visit(app.port, { sigalgs: 'ECDSA+SHA256' }), 'hello', keys.join());
    assert.equal(await visit(app.port, { sigalgs: 'RSA-PSS+SHA256' }), 'hello', keys.join());
  }
});

test('a real key stays native, and asks no key server', async () => {
  const earlier = operations();
  const app = await start(['p256.crt'], ['native.key']);
  assert.equal(await visit(app.port), 'hello');
  assert.equal(operations(), earlier);
});

test('RSA key exchange is offered where the configuration says so, and nowhere else', async () => {
  const keyExchange = { maxVersion: 'TLSv1.2', ciphers: 'AES128-GCM-SHA256' } as const;
  const without = await start(['rsa.crt'], ['rsa.stub']);
  const reason = once(without.child.stdout!, 'data');
  assert.notEqual(await visit(without.port, keyExchange), 'hello');
  assert.deepEqual(JSON.parse(String(await reason)), { error: 'ERR_SSL_NO_SHARED_CIPHER' });
  writeFileSync(files.path('decrypt.json'), config({ decrypt: true }));
  const app = await start(['rsa.crt'], ['rsa.stub'], { KEYLESS_TLS_CONFIG: 'decrypt.json' });
  assert.equal(await visit(app.port, keyExchange), 'hello');
});

test('a key that is given twice is as good as once, as natively', async () => {
  for (const key of ['native.key', 'p256.stub']) {
    const app = await start(['p256.crt'], [key, key]);
    assert.equal(await visit(app.port), 'hello', key);
  }
});

test('the environment alone is enough', async () => {
  const app = await start(['p256.crt'], ['p256.stub'], {
    KEYLESS_TLS_SERVERS: `127.0.0.1:${port}`,
    KEYLESS_TLS_SERVERNAME: 'localhost',
    KEYLESS_TLS_CERT: files.path('edge.crt'),
    KEYLESS_TLS_KEY: files.path('edge.key'),
    KEYLESS_TLS_CA: files.path('ca.crt'),
    KEYLESS_TLS_CONFIG: '/nowhere',
  });
  assert.equal(await visit(app.port), 'hello');
});

/** Runs the app until it ends. */
function fails(cert: string, key: string, env: NodeJS.ProcessEnv = {}) {
  const args = [
    MAIN,
    'run',
    '--',
    process.execPath,
    files.path('app.mjs'),
    files.path(cert),
    files.path(key),
  ];
  return spawnSync(process.execPath, args, {
    cwd: files.folder,
    env: { ...process.env, ...env },
    encoding: 'utf8',
    timeout: 120_000,
  });
}

test('with startup "fail" and no key server the app ends, and says why; with "wait" it starts', async () => {
  const nobody = { servers: ['127.0.0.1:1'] };
  writeFileSync(files.path('fail.json'), config({ ...nobody, startup: 'fail' }));
  const { status, stderr } = fails('p256.crt', 'p256.stub', { KEYLESS_TLS_CONFIG: 'fail.json' });
  assert.notEqual(status, 0);
  assert.match(stderr, /ERR_KEYLESS_NO_KEY_SERVER/);
  writeFileSync(files.path('wait.json'), config(nobody));
  const app = await start(['p256.crt'], ['p256.stub'], { KEYLESS_TLS_CONFIG: 'wait.json' });
  const message = once(app.child.stdout!, 'data');
  assert.match(await visit(app.port), /EPROTO|ECONNRESET|ALERT/);
  assert.deepEqual(JSON.parse(String(await message)), { error: 'ERR_KEYLESS_NO_KEY_SERVER' });
});

const BAD_CONFIGS: readonly [what: string, text: string | undefined, says: RegExp][] = [
  ['missing', undefined, /cannot be read.*ENOENT/],
  ['not JSON', '{', /not JSON/],
  ['of a future version', '{"version":2}', /version: it is 2, and this keyless-tls knows 1/],
  [
    'wrong in two places',
    '{"version":1,"servers":["a",7],"cert":"a","key":"b","ca":"c","timeoutMs":0}',
    /servers\.1: .*timeoutMs: /,
  ],
  ['without servers', '{"version":1,"servers":[],"cert":"a","key":"b","ca":"c"}', /servers/],
  ['with a word nobody knows', '{"version":1,"servers":["a"],"cert":"a","key":"b","ca":"c","x":1}', /"x"/],
  [
    'with a file that is not there',
    '{"version":1,"servers":["a"],"cert":"no.crt","key":"b","ca":"c"}',
    /"cert" cannot be read/,
  ],
];

for (const [what, text, says] of BAD_CONFIGS) {
  test(`a configuration that is ${what} ends the app with the reason`, () => {
    if (text !== undefined) writeFileSync(files.path('bad.json'), text);
    const { status, stderr } = fails('p256.crt', 'p256.stub', {
      KEYLESS_TLS_CONFIG: text === undefined ? 'no.json' : 'bad.json',
    });
    assert.notEqual(status, 0);
    assert.match(stderr, says);
    assert.match(stderr, /ERR_KEYLESS_INVALID_ARGUMENT/);
  });
}

test('an environment that is not complete ends the app with the variable that is missing', () => {
  const { status, stderr } = fails('p256.crt', 'p256.stub', {
    KEYLESS_TLS_SERVERS: '127.0.0.1:1',
    KEYLESS_TLS_CERT: 'a',
  });
  assert.notEqual(status, 0);
  assert.match(stderr, /KEYLESS_TLS_KEY must name a file/);
});

test('a stub that is cut off, changed or of another certificate is refused with what to do', () => {
  const stub = stubOf('p256');
  const bad: [string, string, RegExp][] = [
    ['cut.stub', stub.slice(0, stub.indexOf('-----END')), /cut off/],
    [
      'changed.stub',
      stub.replace(/(KEY STUB-----\n.{40})./, '$1A').replace(/Key-Id: .*/, `Key-Id: ${'0'.repeat(40)}`),
      /key id|no public key/,
    ],
    ['wrong-id.stub', stub.replace(/Key-Id: .*/, `Key-Id: ${'0'.repeat(40)}`), /key id is not that/],
    ['other.stub', stubOf('rsa'), /ERR_KEYLESS_KEY_MISMATCH/],
  ];
  for (const [name, text, says] of bad) {
    writeFileSync(files.path(name), text);
    const { status, stderr } = fails('p256.crt', name);
    assert.notEqual(status, 0, name);
    assert.match(stderr, says, name);
  }
});

test('a stub holds nothing secret, names its purpose, and is no key to anybody else', () => {
  writeFileSync(files.path('print.crt'), setup.sites.p256!.certPem);
  const { stdout, status } = spawnSync(process.execPath, [MAIN, 'stub', files.path('print.crt')], {
    encoding: 'utf8',
  });
  assert.equal(status, 0);
  assert.equal(stdout, stubOf('p256'));
  assert.match(stdout, /keyless-tls/);
  assert.equal(readStub(stdout)!.keyId, setup.sites.p256!.keyId.toString('hex'));
  assert.equal(readStub(setup.sites.p256!.keyPem), undefined);
  const native = spawnSync(
    process.execPath,
    [files.path('app.mjs'), files.path('p256.crt'), files.path('p256.stub')],
    { encoding: 'utf8' },
  );
  assert.notEqual(native.status, 0);
  const openssl = spawnSync('openssl', ['pkey', '-in', files.path('p256.stub'), '-noout'], {
    encoding: 'utf8',
  });
  assert.notEqual(openssl.status, 0);
});

test('run keeps the NODE_OPTIONS that are there, and ends with the code or the signal of its program', () => {
  const run = (words: readonly string[], env: NodeJS.ProcessEnv = {}) =>
    spawnSync(process.execPath, [MAIN, 'run', '--isolate', '--', ...words], {
      env: { ...process.env, ...env },
      encoding: 'utf8',
    });
  const title = [process.execPath, '-p', 'process.title'];
  assert.equal(run(title, { NODE_OPTIONS: '--title=mine' }).stdout, 'mine\n');
  assert.equal(run(['sh', '-c', 'exit 7']).status, 7);
  // Of these Node.js ignores one, which its program is not to inherit.
  for (const signal of ['HUP', 'KILL', 'TERM', 'PIPE'])
    assert.equal(run(['sh', '-c', `kill -${signal} $$`]).signal, `SIG${signal}`);
});

test('run gives its program its own arguments, --help among them', () => {
  const { stdout, status } = spawnSync(
    process.execPath,
    [
      MAIN,
      'run',
      '--isolate',
      '--',
      process.execPath,
      '-p',
      'process.argv.slice(1).join()',
      '--',
      '--help',
      '-h',
    ],
    { encoding: 'utf8' },
  );
  assert.deepEqual([stdout, status], ['--help,-h\n', 0]);
});

test('an identity whose files are renewed counts without a restart; one that is no good is told of, and changes nothing', async () => {
  const stranger = await (await makeAuthority()).issue({ type: 'p256', usage: 'client' });
  writeFileSync(files.path('renewed.crt'), stranger.certPem);
  writeFileSync(files.path('renewed.key'), stranger.keyPem, { mode: 0o600 });
  writeFileSync(files.path('renewed.json'), config({ cert: 'renewed.crt', key: 'renewed.key' }));
  const app = await start(['p256.crt'], ['p256.stub'], { KEYLESS_TLS_CONFIG: 'renewed.json' });
  assert.notEqual(await visit(app.port), 'hello');
  writeFileSync(files.path('renewed.crt'), setup.edge.certPem);
  const warned = textIn(app.child.stderr!, /KeylessWarning: .*does not belong to the certificate/);
  await warned;
  assert.notEqual(await visit(app.port), 'hello');
  writeFileSync(files.path('renewed.key'), setup.edge.keyPem);
  while ((await visit(app.port)) !== 'hello') await pause(50);
  writeFileSync(files.path('renewed.crt'), 'nothing of the kind');
  await textIn(app.child.stderr!, /holds no certificate/);
  assert.equal(await visit(app.port), 'hello');
});

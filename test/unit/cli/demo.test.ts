/** `keyless-tls demo` as a process: what it shows, and that nothing of it is left when it ends, however that comes. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { watch } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import {
  childrenOf,
  gone,
  isRunning,
  type Program,
  runCommand,
  startCommand,
  startedWith,
} from '../../helpers/programs.ts';
import { assertNothingSecret } from '../../helpers/secrets.ts';

let temporary: string;
let env: NodeJS.ProcessEnv;

before(async () => {
  temporary = await mkdtemp(join(tmpdir(), 'keyless-tls-test-'));
  env = { ...process.env, TMPDIR: temporary };
});
after(() => rm(temporary, { recursive: true, force: true }));

const left = () => readdir(temporary);

interface RunningDemo {
  readonly program: Program;
  readonly url: string;
  readonly ca: string;
  readonly folder: string;
  readonly keyServerPid: number;
}

async function startDemo(): Promise<RunningDemo> {
  const program = startCommand(['demo', '--port', '0'], { env });
  const [, pid] = await program.prints(/key server runs as process (\d+) /);
  const [, caFile, url] = await program.prints(/^ {2}curl --cacert (\S+) (https:\S+)$/m);
  const ca = await readFile(caFile!, 'utf8');
  return { program, url: url!, ca, folder: join(caFile!, '..'), keyServerPid: Number(pid) };
}

async function get({ url, ca }: RunningDemo, path = ''): Promise<IncomingMessage> {
  const { port } = new URL(url);
  const where = { host: '127.0.0.1', servername: 'localhost', port, path: `/${path}`, ca, agent: false };
  const [response] = (await once(https.get(where), 'response')) as [IncomingMessage];
  return response;
}

async function nothingLeft({ keyServerPid }: RunningDemo): Promise<void> {
  assert.ok(!isRunning(keyServerPid), 'the key server has ended before the demo');
  assert.deepEqual(await left(), []);
}

const SCHEMES = [
  'rsa_pkcs1_sha256',
  'ecdsa_secp256r1_sha256',
  'rsa_pss_rsae_sha256',
  'ecdsa_secp256r1_sha256',
];

test('--once shows a handshake of each version with each key, and ends with 0', async () => {
  const { code, stdout, stderr } = await runCommand(['demo', '--once'], { env });
  assert.deepEqual([code, stderr], [0, '']);
  const [head, ...rows] = stdout.trimEnd().split('\n');
  assert.match(head!, /^protocol +key +signature scheme +operations +ms result$/);
  const cells = rows.map((row) => row.split(/ +/));
  assert.deepEqual(
    cells.map(([protocol, key, , operations, , result]) => [protocol, key, operations, result].join(' ')),
    ['TLSv1.2 RSA 1 ok', 'TLSv1.2 ECDSA 1 ok', 'TLSv1.3 RSA 1 ok', 'TLSv1.3 ECDSA 1 ok'],
  );
  assert.deepEqual(
    cells.map(([, , scheme]) => scheme),
    SCHEMES,
  );
  assert.deepEqual(await left(), []);
});

test('--once --json prints the same as one line of JSON', async () => {
  const { code, stdout } = await runCommand(['demo', '--once', '--json'], { env });
  assert.equal(code, 0);
  assert.equal(stdout.indexOf('\n'), stdout.length - 1);
  const rows = JSON.parse(stdout) as Record<string, unknown>[];
  assert.deepEqual(
    rows.map(({ scheme }) => scheme),
    SCHEMES,
  );
  for (const row of rows) {
    assert.deepEqual(Object.keys(row), ['protocol', 'key', 'scheme', 'operations', 'ms', 'result']);
    assert.ok(Number(row.ms) > 0);
    assert.equal(row.result, 'ok');
  }
  assert.deepEqual(await left(), []);
});

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  test(`it serves its page until ${signal}, then nothing is left and the exit code is 0`, async () => {
    const demo = await startDemo();
    const response = await get(demo);
    assert.equal(response.statusCode, 200);
    assert.match(
      await text(response),
      /<h1>This page came over TLS from a server without a private key<\/h1>/,
    );
    await demo.program.prints(/^[\d:.]{12} +\w+ +localhost +[\d.]+ ok$/m);
    const { code, stderr } = await demo.program.end(signal);
    assert.deepEqual([code, stderr], [0, '']);
    await nothingLeft(demo);
  });
}

test('signals that follow each other, as of a terminal that is closed, leave nothing either', async () => {
  const demo = await startDemo();
  await demo.program.endMany('SIGHUP');
  await nothingLeft(demo);
});

test('a signal while it still starts ends it as well, and nothing is left', async () => {
  const watcher = watch(temporary);
  const program = startCommand(['demo', '--port', '0'], { env });
  await once(watcher, 'change');
  watcher.close();
  const { code, stderr } = await program.end('SIGTERM');
  assert.deepEqual([code, stderr], [0, '']);
  assert.deepEqual(await left(), []);
});

test('a visitor who watches the operations does not keep it from ending', async () => {
  const demo = await startDemo();
  const response = await get(demo, 'operations');
  assert.equal(response.headers['content-type'], 'text/event-stream');
  const [first] = (await once(response, 'data')) as [Buffer];
  const events = String(first).split('\n\n');
  assert.match(
    events[0]!,
    /^event: connection\ndata: {"protocol":"TLSv1\.3","cipher":"TLS_\w+","resumed":false}$/,
  );
  assert.match(
    events[1]!,
    /^event: operation\ndata: {"time":"[\d:.]{12}","scheme":"\w+","servername":"localhost","ms":"[\d.]+","result":"ok"}$/,
  );
  const cut = once(response, 'error');
  const { code } = await demo.program.end();
  assert.equal(code, 0);
  await cut;
  await nothingLeft(demo);
});

test('what is not of the page is not found, and every answer forbids what the page does not need', async () => {
  const demo = await startDemo();
  for (const [path, status] of [
    ['', 200],
    ['demo.js', 200],
    ['demo.css', 200],
    ['keys/rsa.key', 404],
    ['../ca.crt', 404],
  ] as const) {
    const response = await get(demo, path);
    await text(response);
    assert.deepEqual([path, response.statusCode], [path, status]);
    assert.match(String(response.headers['content-security-policy']), /^default-src 'none';/);
    assert.equal(response.headers['x-content-type-options'], 'nosniff');
  }
  await demo.program.end();
});

test('when its key server is killed it says so, and ends with 1', async () => {
  const demo = await startDemo();
  process.kill(demo.keyServerPid, 'SIGKILL');
  const { code, stderr } = await demo.program.ended;
  assert.equal(code, 1);
  assert.match(stderr, /^keyless-tls: The demo's key server has ended: .+\. Start the demo again\.\n$/);
  await nothingLeft(demo);
});

test('when it is killed its key server ends by itself', async () => {
  const demo = await startDemo();
  await demo.program.end('SIGKILL');
  await gone(demo.keyServerPid);
  await rm(demo.folder, { recursive: true }); // nobody was there to do it
});

test('no private key is in the arguments or the environment of its processes, and its files are its own', async () => {
  const demo = await startDemo();
  assert.deepEqual(childrenOf(demo.program.pid), [demo.keyServerPid]);
  const files = ['server.pem', 'keys/rsa.key', 'keys/ecdsa.key'].map((name) => join(demo.folder, name));
  const keys = await Promise.all(files.map((file) => readFile(file, 'utf8')));
  for (const pid of [demo.program.pid, demo.keyServerPid]) assertNothingSecret(startedWith(pid), keys);
  assert.ok(startedWith(demo.keyServerPid).includes(join(demo.folder, 'keys')));
  for (const path of [demo.folder, ...files]) assert.equal((await stat(path)).mode & 0o077, 0, path);
  const { stdout, stderr } = await demo.program.end();
  assertNothingSecret(stdout.replaceAll('no key', '') + stderr, keys);
});

test('a port that another program has: exit code 1, which option to change, and nothing left', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  const { code, stderr } = await runCommand(['demo', '--port', String(port)], { env });
  other.close();
  assert.equal(code, 1);
  assert.equal(
    stderr,
    `keyless-tls: It cannot listen on 127.0.0.1:${port}: another program listens there. Give another with --port (port 0: any free one). [EADDRINUSE]\n`,
  );
  assert.deepEqual(await left(), []);
});

test('called wrongly: exit code 2, and nothing was made', async () => {
  const json = await runCommand(['demo', '--json'], { env });
  assert.deepEqual(
    [json.code, json.stderr],
    [2, 'keyless-tls: --json is for --once.\nTry: keyless-tls demo --once --json\n'],
  );
  for (const port of ['http', '65536', '-1', '']) {
    const { code, stderr } = await runCommand(['demo', `--port=${port}`], { env });
    assert.equal(code, 2);
    assert.ok(stderr.startsWith(`keyless-tls: ${JSON.stringify(port)} is not a port `), stderr);
  }
  assert.deepEqual(await left(), []);
});

test('words that are no option are refused', async () => {
  const { code, stderr } = await runCommand(['demo', 'now'], { env });
  assert.equal(code, 2);
  assert.match(stderr, /^keyless-tls: .*'now'.*\nTry: keyless-tls demo --help\n$/);
});

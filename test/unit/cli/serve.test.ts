/** `keyless-tls serve` as a process that runs; what it does when it is called wrongly is in serve-called.test.ts. */
import assert from 'node:assert/strict';
import { createHash, verify, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { after, before, type TestContext, test } from 'node:test';
import tls from 'node:tls';
import { subjectKeyId } from '../../../lib/protocol/key-id.ts';
import { signDigestRequest } from '../../../lib/protocol/request-encoder.ts';
import { createServer } from '../../../lib/tls.ts';
import { type Authority, type Issued, makeAuthority } from '../../helpers/certificates.ts';
import { close, listen } from '../../helpers/connections.ts';
import { until } from '../../helpers/edge.ts';
import {
  type KeyServerProcess,
  makeServeFolder,
  type ServeFolder,
  startKeyServer,
} from '../../helpers/key-server-process.ts';
import { runCommand, startedWith } from '../../helpers/programs.ts';
import { assertNothingSecret } from '../../helpers/secrets.ts';
import { connectPeer } from '../../helpers/wire-peer.ts';

let authority: Authority;
let rsa: Issued;
let p256: Issued;
let folder: ServeFolder;

before(async () => {
  authority = await makeAuthority();
  [rsa, p256] = await Promise.all([authority.issue({ type: 'rsa' }), authority.issue({ type: 'p256' })]);
  folder = await makeServeFolder({ rsa: rsa.keyPem, p256: p256.keyPem });
});

after(() => folder.remove());

const secrets = () => [rsa.keyPem, p256.keyPem, folder.server.keyPem, folder.edge.keyPem];

/** One handshake of a keyless edge with the key server. @returns what the client got from it */
async function handshake(
  keyServer: KeyServerProcess,
  { certPem }: Issued,
  options: tls.ConnectionOptions = {},
) {
  const keys = await keyServer.connect();
  const server = createServer({ cert: certPem, key: keys }, (socket) => socket.end('signed'));
  const port = await listen(server);
  try {
    const client = tls.connect({
      host: '127.0.0.1',
      port,
      servername: 'localhost',
      ca: authority.certPem,
      ...options,
    });
    return String(Buffer.concat(await client.toArray()));
  } finally {
    await close(server);
    keys.close();
  }
}

/** The events of `--json`, in order. */
function events(stdout: string): Record<string, unknown>[] {
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

function ends(test: TestContext, keyServer: KeyServerProcess): KeyServerProcess {
  test.after(() => keyServer.program.end('SIGKILL'));
  return keyServer;
}

test('it says which keys it holds and where it listens, answers an edge, and ends at SIGTERM with 0', async (t) => {
  const keyServer = ends(t, await startKeyServer(folder));
  assert.equal(await handshake(keyServer, p256), 'signed');
  assert.equal(await handshake(keyServer, rsa, { maxVersion: 'TLSv1.2' }), 'signed');
  await keyServer.program.prints(/ disconnected [\s\S]* disconnected /);
  const { code, signal, stdout, stderr } = await keyServer.program.end('SIGTERM');
  assert.deepEqual({ code, signal, stderr }, { code: 0, signal: null, stderr: '' });
  const lines = stdout
    .trimEnd()
    .split('\n')
    .map((line) => line.replace(/^\d{4}-\d\d-\d\dT[\d:.]{12}Z /, ''));
  const shapes = lines.map((line) =>
    line
      .replace(/"127\.0\.0\.1 port \d+"/g, 'host:port')
      .replace(/[0-9a-f]{40}/g, 'id')
      .replace(/ms=[\d.]+/, 'ms=n'),
  );
  assert.deepEqual(shapes.slice(0, 2), [
    'key id=id kind=ec file=p256.key',
    'key id=id kind=rsa file=rsa.key',
  ]);
  assert.equal(lines[2], `listening address=127.0.0.1 port=${keyServer.port}`);
  assert.deepEqual(
    shapes.filter((line) => line.startsWith('operation')).map((line) => line.split(' edge=')[0]),
    [
      'operation kind=sign method="ecdsa sha256" key=id context=tls13-server sni=localhost result=ok ms=n',
      'operation kind=sign method="rsa-pss sha256" key=id context=tls12-server sni=localhost result=ok ms=n',
    ],
  );
  assert.equal(
    shapes.filter((line) => line === 'connected from=host:port edge=CN=edge profile=ours').length,
    2,
  );
  assert.equal(shapes.at(-2), 'draining reason=SIGTERM');
  assert.equal(shapes.at(-1), 'ended answered=4 refused=0 unfinished=0'); // greetings too
  assertNothingSecret(stdout, secrets());
});

test('--json prints an object a line, with the same events', async (t) => {
  const keyServer = ends(t, await startKeyServer(folder, ['--json']));
  assert.equal(await handshake(keyServer, p256), 'signed');
  await keyServer.program.prints(/"disconnected"/);
  const { stdout } = await keyServer.program.end('SIGINT');
  const told = events(stdout);
  assert.ok(told.every(({ time }) => !Number.isNaN(Date.parse(String(time)))));
  const names = told.map(({ event }) => event);
  assert.deepEqual(names, [
    'key',
    'key',
    'listening',
    'connected',
    'operation',
    'disconnected',
    'draining',
    'ended',
  ]);
  const operation = told[4]!;
  assert.equal(operation.key, told[0]!.id);
  assert.equal(operation.result, 'ok');
  assert.equal(typeof operation.ms, 'number');
  assert.equal(operation.edge, 'CN=edge');
  assert.deepEqual(told.at(-2)!.reason, 'SIGINT');
});

test('--quiet leaves out the operations and nothing else', async (t) => {
  const keyServer = ends(t, await startKeyServer(folder, ['--json', '--quiet']));
  assert.equal(await handshake(keyServer, p256), 'signed');
  await keyServer.program.prints(/"disconnected"/);
  const { stdout } = await keyServer.program.end();
  const names = events(stdout).map(({ event }) => event);
  assert.deepEqual(names, ['key', 'key', 'listening', 'connected', 'disconnected', 'draining', 'ended']);
});

test('it decrypts only with a key that --allow-decrypt names', async (t) => {
  const kRsa = { maxVersion: 'TLSv1.2', ciphers: 'AES128-GCM-SHA256' } as const;
  const strict = ends(t, await startKeyServer(folder, ['--json']));
  await assert.rejects(handshake(strict, rsa, kRsa));
  const refusal = events((await strict.program.end()).stdout).find(({ event }) => event === 'operation')!;
  assert.equal(refusal.kind, 'premaster');
  assert.match(String(refusal.result), /^error-[0-9a-f]{2}$/);
  const other = ends(t, await startKeyServer(folder, ['--allow-decrypt', 'p256.key']));
  await assert.rejects(handshake(other, rsa, kRsa));
  const lenient = ends(t, await startKeyServer(folder, ['--allow-decrypt', 'rsa.key']));
  assert.equal(await handshake(lenient, rsa, kRsa), 'signed');
  assert.equal(await handshake(lenient, rsa), 'signed');
});

/** Linux tells the threads of a process, with their names. */
function signingThreads({ program: { pid } }: KeyServerProcess): number {
  const names = readdirSync(`/proc/${pid}/task`).map((id) =>
    readFileSync(`/proc/${pid}/task/${id}/comm`, 'utf8'),
  );
  return names.filter((name) => name.startsWith('keyless-sign')).length;
}

for (const [options, threads] of [
  [['--workers', '1'], 1],
  [['--workers', '5'], 5],
  [[], availableParallelism()],
] as const) {
  test(`${threads} signing threads: serve ${options.join(' ') || 'as it is'}`, async (t) => {
    const keyServer = ends(t, await startKeyServer(folder, options));
    assert.equal(await handshake(keyServer, p256), 'signed');
    if (process.platform === 'linux') assert.equal(signingThreads(keyServer), 0);
    for (const each of [rsa, rsa]) assert.equal(await handshake(keyServer, each), 'signed');
    if (process.platform !== 'linux') return;
    // Each names itself when it begins, which may be after another has signed.
    await until(() => signingThreads(keyServer) >= threads);
    assert.equal(signingThreads(keyServer), threads);
  });
}

test('it signs bare digests only with --allow-digest', async (t) => {
  const { publicKey } = new X509Certificate(rsa.certPem);
  const keyId = subjectKeyId(publicKey.export({ type: 'spki', format: 'der' }));
  const digest = createHash('sha256').update('abc').digest();
  const RSA_SHA256 = 0x05;
  const credentials = { cert: folder.edge.certPem, key: folder.edge.keyPem, ca: folder.authority.certPem };
  for (const [options, kind] of [
    [[], 'error'],
    [['--allow-digest'], 'result'],
  ] as const) {
    const keyServer = ends(t, await startKeyServer(folder, options));
    const peer = await connectPeer(keyServer.port, credentials, 'field');
    const answer = await peer.ask(signDigestRequest(RSA_SHA256, digest, { keyId }));
    peer.close();
    assert.equal(answer.kind, kind);
    if (answer.kind === 'result') assert.ok(verify('sha256', Buffer.from('abc'), publicKey, answer.payload));
  }
});

test('an edge of another authority is refused, with a line that says so', async (t) => {
  const keyServer = ends(t, await startKeyServer(folder, ['--json']));
  const stranger = await (await makeAuthority('Strangers')).issue({ type: 'p256', usage: 'client' });
  const socket = tls.connect({
    host: '127.0.0.1',
    port: keyServer.port,
    ca: folder.authority.certPem,
    cert: stranger.certPem,
    key: stranger.keyPem,
  });
  // By an alert, as a rule: it may be lost where the connection is reset.
  socket.on('error', () => undefined).resume();
  await keyServer.program.prints(/"event":"refused"/);
  const { stdout } = await keyServer.program.end();
  const [refused] = events(stdout).filter(({ event }) => event === 'refused');
  assert.equal(refused!.reason, 'certificate');
  assert.match(String(refused!.why), /SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_VERIFY_LEAF_SIGNATURE/);
});

test('a second signal ends it at once, as it would any process', async (t) => {
  const keyServer = ends(t, await startKeyServer(folder));
  const keys = await keyServer.connect();
  t.after(() => keys.close());
  keyServer.program.signal('SIGTERM');
  await keyServer.program.prints(/draining/);
  const { code, signal } = await keyServer.program.end('SIGTERM');
  assert.ok(code === 0 || signal === 'SIGTERM', `${code} ${signal}`);
});

test('an edge that stays connected does not keep it from ending', async (t) => {
  const keyServer = ends(t, await startKeyServer(folder));
  const keys = await keyServer.connect();
  t.after(() => keys.close());
  const { code, stdout } = await keyServer.program.end();
  assert.equal(code, 0);
  assert.match(stdout, /ended answered=1 refused=0 unfinished=0\n$/);
});

test('no private key is in its arguments or its environment', async (t) => {
  const { program } = ends(t, await startKeyServer(folder));
  const visible = startedWith(program.pid);
  assert.ok(visible.includes(folder.path('keys')), 'its arguments were read');
  assertNothingSecret(visible, secrets());
});

test('a port that another program has: exit code 1, and which option to change', async (t) => {
  const first = ends(t, await startKeyServer(folder));
  const where = `127.0.0.1:${first.port}`;
  const { code, stderr } = await runCommand(['serve', ...folder.options, '--listen', where]);
  assert.equal(code, 1);
  assert.equal(
    stderr,
    `keyless-tls: It cannot listen on ${where}: another program listens there. Give another with --listen (port 0: any free one). [EADDRINUSE]\n`,
  );
});

test('an address that the machine does not have: exit code 1, and which option to change', async () => {
  // RFC 5737: addresses for documents, of no machine.
  const { code, stderr } = await runCommand(['serve', ...folder.options, '--listen', '192.0.2.1:0']);
  assert.equal(code, 1);
  assert.match(
    stderr,
    /^keyless-tls: It cannot listen on 192\.0\.2\.1:0: this machine has no such address\. Give another with --listen .*\[EADDRNOTAVAIL\]\n$/,
  );
});

test('the certificate it presents is that of --cert', async (t) => {
  const keyServer = ends(t, await startKeyServer(folder));
  const { edge, server } = folder;
  const socket = tls.connect({
    host: '127.0.0.1',
    port: keyServer.port,
    ca: folder.authority.certPem,
    cert: edge.certPem,
    key: edge.keyPem,
  });
  await once(socket, 'secureConnect');
  assert.equal(
    socket.getPeerCertificate().fingerprint256,
    new X509Certificate(server.certPem).fingerprint256,
  );
  socket.destroy();
});

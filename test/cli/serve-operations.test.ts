/** `keyless-tls serve` as an operator runs it: policy, audit log, metrics, revocation, signals. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { subjectKeyId } from '../../lib/protocol/key-id.ts';
import { signRequest } from '../../lib/protocol/request-encoder.ts';
import { auditFiles } from '../../lib/server/audit-files.ts';
import { identityOf } from '../../lib/server/peer-identity.ts';
import { certificateVerify } from '../helpers/handshake-messages.ts';
import { type KeyServerSetup, makeKeyServers } from '../helpers/key-servers.ts';
import { MAIN, type ServeFiles, ServeProcess, serveFiles } from '../helpers/serve-process.ts';
import { stopwatch } from '../helpers/stopwatch.ts';
import { connectPeer, type WirePeer } from '../helpers/wire-peer.ts';

let setup: KeyServerSetup;
let files: ServeFiles;
let pin: string;
const running: ServeProcess[] = [];

before(async () => {
  setup = await makeKeyServers(['p256']);
  files = serveFiles(setup);
  pin = identityOf(new X509Certificate(setup.edge.certPem)).pin;
});
after(async () => {
  for (const serve of running) serve.child.kill('SIGKILL');
  await Promise.all(running.map((serve) => serve.ended));
  files.remove();
});

function start(...more: string[]): ServeProcess {
  const serve = new ServeProcess([...files.args, ...more]);
  running.push(serve);
  return serve;
}

function cli(...args: string[]) {
  return spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8' });
}

function sign(peer: WirePeer, servername = 'www.example.org') {
  const { keyId } = setup.sites.p256!;
  return peer.ask(signRequest('ecdsa_secp256r1_sha256', certificateVerify(), { keyId, servername }));
}

function policy(more: object = {}): string {
  return JSON.stringify({ version: 1, clients: [{ name: 'edge-1', identities: [pin] }], ...more });
}

test('every operation is in the audit log before its answer, also when the process is killed', async () => {
  const directory = files.path('audit-killed');
  const serve = start('--audit', directory);
  const peer = await connectPeer(await serve.port(), setup.edgeOptions);
  const answers = await Promise.all(Array.from({ length: 50 }, () => sign(peer)));
  serve.child.kill('SIGKILL');
  await serve.ended;
  assert.ok(answers.every(({ kind }) => kind === 'result'));
  const log = readFileSync(auditFiles(directory)[0]!, 'utf8');
  assert.equal(log.match(/"event":"operation"/g)?.length, 50);
  const again = start('--audit', directory);
  await again.port();
  again.child.kill('SIGTERM');
  assert.equal(await again.ended, 0);
  const verdict = cli('audit', 'verify', directory);
  assert.deepEqual([verdict.status, verdict.stderr], [0, '']);
  assert.match(verdict.stdout, /^Whole: \d+ records \(1 to \d+\), head [0-9a-f]{64}\.\n$/);
});

test('the audit log tells what was signed for whom, with the text of peers escaped and no secret', async () => {
  const directory = files.path('audit-told');
  const serve = start('--audit', directory);
  const peer = await connectPeer(await serve.port(), setup.edgeOptions);
  await sign(peer, 'a\nb"\x1b[31m');
  serve.child.kill('SIGTERM');
  await serve.ended;
  const lines = readFileSync(auditFiles(directory)[0]!, 'utf8').trimEnd().split('\n');
  const record = JSON.parse(lines.find((line) => line.includes('"operation"'))!.slice(65)) as Record<
    string,
    unknown
  >;
  const { seq, time, address, ms, transcript, ...rest } = record;
  assert.ok(Number.isInteger(seq) && typeof time === 'string' && typeof ms === 'number' && address);
  assert.match(String(transcript), /^[0-9a-f]{64}$/);
  assert.deepEqual(rest, {
    event: 'operation',
    client: 'any',
    certificate: new X509Certificate(setup.edge.certPem).fingerprint256,
    kind: 'sign',
    key: setup.sites.p256!.keyId.toString('hex'),
    method: 'ecdsa sha256',
    context: 'tls13-server',
    sni: 'a\\x0ab"\\x1b[31m',
    result: 'ok',
  });
});

test('the audit log tells a signature from what was sent again, and is whole', async () => {
  const directory = files.path('audit-repeated');
  const serve = start('--audit', directory);
  const [first, second] = await Promise.all(
    ['first', 'second'].map(async () => connectPeer(await serve.port(), setup.edgeOptions)),
  );
  const request = signRequest('ecdsa_secp256r1_sha256', certificateVerify(), setup.sites.p256!);
  const signature = await first!.ask(request);
  assert.deepEqual(await second!.ask(request), signature);
  serve.child.kill('SIGTERM');
  await serve.ended;
  const operations = readFileSync(auditFiles(directory)[0]!, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line.slice(65)) as Record<string, unknown>)
    .filter(({ event }) => event === 'operation');
  assert.deepEqual(
    operations.map(({ result }) => result),
    ['ok', 'repeated'],
  );
  assert.equal(operations[0]!.transcript, operations[1]!.transcript);
  assert.equal(cli('audit', 'verify', directory).status, 0);
  assert.ok(serve.events.some(({ event, result }) => event === 'operation' && result === 'repeated'));
});

test('audit verify names the first bad record, and finds a tail that was cut off by a head that was noted', async () => {
  const directory = files.path('audit-forged');
  const serve = start('--audit', directory);
  const peer = await connectPeer(await serve.port(), setup.edgeOptions);
  for (let at = 0; at < 3; at += 1) await sign(peer);
  serve.child.kill('SIGTERM');
  await serve.ended;
  const head = serve.events.findLast(({ event }) => event === 'audit-head')!.digest as string;
  assert.equal(cli('audit', 'verify', directory, '--head', head).status, 0);
  const [file] = auditFiles(directory) as [string];
  const content = readFileSync(file, 'utf8');
  const lines = content.trimEnd().split('\n');
  writeFileSync(file, `${lines.slice(0, -1).join('\n')}\n`);
  const cut = cli('audit', 'verify', directory, '--head', head);
  assert.equal(cut.status, 1);
  assert.match(cut.stderr, /ERR_KEYLESS_AUDIT|cut off/);
  writeFileSync(file, content.replace('"result":"ok"', '"result":"no"'));
  const forged = cli('audit', 'verify', directory, '--json');
  assert.equal(forged.status, 1);
  const { bad } = JSON.parse(forged.stdout) as { bad: { file: string; line: number } };
  assert.deepEqual([bad.file, bad.line], [file, lines.findIndex((line) => line.includes('"operation"')) + 1]);
});

test('a client that is revoked is disconnected within a second', async () => {
  const path = files.path('policy.json');
  writeFileSync(path, policy());
  const serve = start('--policy', path);
  const port = await serve.port();
  const peer = await connectPeer(port, setup.edgeOptions);
  assert.equal((await sign(peer)).kind, 'result');
  writeFileSync(files.path('edge.crt'), setup.edge.certPem);
  const revoked = cli('revoke', '--policy', path, files.path('edge.crt'));
  assert.deepEqual([revoked.status, revoked.stderr], [0, '']);
  await peer.closed;
  const since = Date.now() - statSync(path).ctimeMs;
  assert.ok(since < 1000, `disconnected ${since.toFixed(0)} ms after the policy was changed`);
  const back = await connectPeer(port, setup.edgeOptions);
  await back.closed;
});

test('a name is revoked in whatever case it is given, and is in the file once', async () => {
  const path = files.path('spelt.json');
  writeFileSync(path, policy());
  const serve = start('--policy', path);
  const port = await serve.port();
  const peer = await connectPeer(port, setup.edgeOptions);
  assert.equal((await sign(peer)).kind, 'result');
  assert.match(new X509Certificate(setup.edge.certPem).subjectAltName!, /DNS:localhost/);
  assert.equal(cli('revoke', '--policy', path, 'DNS:LocalHost').status, 0);
  await peer.closed;
  assert.equal(cli('revoke', '--policy', path, 'DNS:localhost').status, 0);
  assert.equal((JSON.parse(readFileSync(path, 'utf8')) as { revoked: string[] }).revoked.length, 1);
  const odd = cli('revoke', '--policy', path, 'DNS:b\u00fccher.internal');
  assert.deepEqual([odd.status, /neither an identity nor/.test(odd.stderr)], [2, true]);
});

test('clients that are revoked at the same time are all revoked', async () => {
  const path = files.path('crowded.json');
  const names = Array.from({ length: 8 }, (_, at) => `DNS:edge-${at}`);
  writeFileSync(path, policy({ clients: names.map((name, at) => ({ name: `e${at}`, identities: [name] })) }));
  const codes = await Promise.all(
    names.map(async (name) => {
      const child = spawn(process.execPath, [MAIN, 'revoke', '--policy', path, name], { stdio: 'ignore' });
      return (await once(child, 'exit'))[0] as number;
    }),
  );
  assert.deepEqual(new Set(codes), new Set([0]));
  const { revoked } = JSON.parse(readFileSync(path, 'utf8')) as { revoked: string[] };
  assert.deepEqual(revoked.sort(), names);
});

test('a bad policy is refused at the start, and while it runs the old one stays', async () => {
  const path = files.path('bad-policy.json');
  writeFileSync(path, policy({ clients: [{ name: 'x' }] }));
  const refused = start('--policy', path);
  assert.equal(await refused.ended, 2);
  assert.match(refused.stderr, /clients\.0\.identities/);
  writeFileSync(path, policy());
  const serve = start('--policy', path);
  const peer = await connectPeer(await serve.port(), setup.edgeOptions);
  writeFileSync(path, '{');
  serve.child.kill('SIGHUP');
  const { reason } = await serve.event('policy-problem');
  assert.match(String(reason), /not JSON/);
  assert.equal((await sign(peer)).kind, 'result');
  writeFileSync(
    path,
    policy({ clients: [{ name: 'edge-1', identities: [pin], servernames: ['other.example.org'] }] }),
  );
  serve.child.kill('SIGHUP');
  await serve.event('policy');
  assert.deepEqual(await sign(peer), { kind: 'error', code: 2 });
});

test('renewed files count without a restart, bad ones are told of, and the revocation list disconnects', async () => {
  const crl = files.path('edges.crl');
  writeFileSync(crl, await setup.authority.revoke([]));
  const serve = start('--crl', crl);
  const peer = await connectPeer(await serve.port(), setup.edgeOptions);
  const renewed = await setup.authority.issue({ type: 'p256', usage: 'server', cn: 'renewed' });
  writeFileSync(files.path('server.crt'), renewed.certPem);
  const { reason } = await serve.event('credentials-problem');
  assert.match(String(reason), /The key of --key is not that of the certificate of --cert/);
  writeFileSync(files.path('server.pem'), renewed.keyPem);
  await serve.event('credentials');
  const later = await connectPeer(await serve.port(), setup.edgeOptions);
  assert.equal((later.socket.getPeerCertificate().subject as { CN: string }).CN, 'renewed');
  assert.deepEqual([(await sign(peer)).kind, (await sign(later)).kind], ['result', 'result']);
  const list = await setup.authority.revoke([setup.edge]);
  const took = stopwatch();
  writeFileSync(crl, list);
  await Promise.all([peer.closed, later.closed]);
  const ms = took();
  assert.ok(ms < 1000, `disconnected ${ms.toFixed(0)} ms after the list was there`);
  serve.child.kill('SIGTERM');
  assert.equal(await serve.ended, 0);
});

test('SIGHUP while it starts does not end it', async () => {
  const pipe = files.path('cert-pipe');
  assert.equal(spawnSync('mkfifo', [pipe]).status, 0);
  const serve = start('--cert', pipe);
  // There is a writer when it reads.
  const writer = await open(pipe, 'w');
  serve.child.kill('SIGHUP');
  await writer.write(readFileSync(files.path('server.crt')));
  await writer.close();
  await serve.port();
});

test('keys that come, change and go while it runs are served, and a file that cannot be used changes nothing', async () => {
  const serve = start();
  const peer = await connectPeer(await serve.port(), setup.edgeOptions);
  const more = await setup.authority.issue({ type: 'p256' });
  const { publicKey } = new X509Certificate(more.certPem);
  const keyId = subjectKeyId(publicKey.export({ type: 'spki', format: 'der' }));
  const id = keyId.toString('hex');
  const ask = () => peer.ask(signRequest('ecdsa_secp256r1_sha256', certificateVerify(), { keyId }));
  assert.deepEqual(await ask(), { kind: 'error', code: 2 });
  const path = files.path('keys/more.key');
  writeFileSync(path, more.keyPem, { mode: 0o600 });
  await serve.event('key', (event) => event.id === id);
  assert.equal((await ask()).kind, 'result');
  writeFileSync(path, 'no key');
  const problem = await serve.event('key-problem');
  assert.deepEqual([problem.file, problem.reason], ['more.key', 'it holds no private key in PEM']);
  assert.equal((await ask()).kind, 'result');
  rmSync(path);
  serve.child.kill('SIGHUP');
  assert.equal((await serve.event('key-removed')).id, id);
  assert.deepEqual([await ask(), (await sign(peer)).kind], [{ kind: 'error', code: 2 }, 'result']);
});

test('encrypted keys need the passphrase of a file, which hides no other key when it is wrong', async () => {
  const privateKey = createPrivateKey(setup.sites.p256!.keyPem);
  const cipher = { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc' } as const;
  const pem = privateKey.export({ ...cipher, passphrase: 'right' });
  const [keys, passphrase] = [files.path('encrypted'), files.path('passphrase')];
  mkdirSync(keys, { mode: 0o700 });
  writeFileSync(`${keys}/a.key`, pem, { mode: 0o600 });
  writeFileSync(passphrase, 'right\n', { mode: 0o600 });
  const served = start('--keys', keys, '--passphrase-file', passphrase);
  assert.equal((await sign(await connectPeer(await served.port(), setup.edgeOptions))).kind, 'result');
  const another = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' });
  writeFileSync(`${keys}/b.key`, another, { mode: 0o600 });
  writeFileSync(passphrase, 'wrong\n', { mode: 0o600 });
  const wrong = start('--keys', keys, '--passphrase-file', passphrase);
  await wrong.port();
  assert.match(String((await wrong.event('key-problem')).reason), /the passphrase does not fit/);
  assert.equal((await wrong.event('key')).file, 'b.key');
  chmodSync(passphrase, 0o644);
  const open = start('--keys', keys, '--passphrase-file', passphrase);
  assert.equal(await open.ended, 2);
  assert.match(open.stderr, /--passphrase-file/);
  assert.doesNotMatch(open.stderr + JSON.stringify(wrong.events), /right|wrong/);
  // Another mode: the running one is told of it, and goes on. Then its contents: the key that it fits is there.
  assert.match(String((await wrong.event('key-problem', ({ file }) => file === passphrase)).reason), /0644/);
  writeFileSync(passphrase, 'right\n');
  chmodSync(passphrase, 0o600);
  const told = await wrong.event('key', ({ file }) => file === 'a.key');
  assert.match(String(told.id), /^[0-9a-f]{40}$/);
});

test('an operation that was not performed has the reason in its line, also where the peer hears one error for several', async () => {
  const path = files.path('policy-rate.json');
  const clients = [{ name: 'edge-1', identities: [pin], rate: { perSecond: 0.01, burst: 1 } }];
  writeFileSync(path, policy({ clients }));
  const serve = start('--policy', path);
  const peer = await connectPeer(await serve.port(), setup.edgeOptions);
  for (const _ of ['one', 'one too many']) await sign(peer);
  const { result, reason } = await serve.event('operation', (each) => each.result !== 'ok');
  assert.deepEqual([result, reason], ['error-08', 'rate']);
  peer.close();
});

test('metrics count operations by client and result, refusals by reason', async () => {
  const path = files.path('policy-metrics.json');
  writeFileSync(path, policy());
  const serve = start('--policy', path, '--metrics', '0');
  const peer = await connectPeer(await serve.port(), setup.edgeOptions);
  const request = signRequest('ecdsa_secp256r1_sha256', certificateVerify(), setup.sites.p256!);
  for (const _ of ['first', 'again']) await peer.ask(request);
  await peer.ask(
    signRequest('ecdsa_secp256r1_sha256', Buffer.from('not a handshake'), { keyId: setup.sites.p256!.keyId }),
  );
  await peer.ask(signRequest('ecdsa_secp256r1_sha256', certificateVerify(), { keyId: Buffer.alloc(20, 7) }));
  const stranger = await setup.authority.issue({ type: 'p256', usage: 'client', cn: 'stranger' });
  const keyOfStranger = { cert: stranger.certPem, key: stranger.keyPem, ca: setup.authority.certPem };
  await (await connectPeer(await serve.port(), keyOfStranger)).closed;
  const { address, port } = await serve.event('metrics');
  assert.equal(address, '127.0.0.1');
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  const counted = (labels: string) =>
    new RegExp(`^keyless_tls_server_operations_total\\{${labels}\\} 1$`, 'm');
  assert.match(text, counted('client="edge-1",kind="sign",result="ok"'));
  assert.match(text, counted('client="edge-1",kind="sign",result="repeated"'));
  assert.match(text, counted('client="edge-1",kind="sign",result="not-a-handshake"'));
  assert.match(text, /^keyless_tls_server_connections 1$/m);
  assert.match(text, counted('client="edge-1",kind="sign",result="unknown-key"'));
  const key = setup.sites.p256!.keyId.toString('hex');
  assert.match(text, new RegExp(`key_operations_total\\{key="${key}",result="ok"\\} 1`));
  assert.match(text, new RegExp(`key_operation_seconds_count\\{key="${key}"\\} 2`));
  assert.match(text, /client_operation_seconds_bucket\{le="0\.1",client="edge-1"\} 2/);
  assert.match(text, /connections_refused_total\{reason="not-served"\} 1/);
  assert.ok(!text.includes('0707'), 'a key id that a peer has made up is no label');
  assert.equal((await fetch(`http://127.0.0.1:${port}/`)).status, 404);
});

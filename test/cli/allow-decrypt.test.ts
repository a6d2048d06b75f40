/** `keyless-tls serve --allow-decrypt`: which keys its names are, at the start and later. */
import assert from 'node:assert/strict';
import { constants, createPublicKey, generateKeyPairSync, type KeyObject, publicEncrypt } from 'node:crypto';
import { copyFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { subjectKeyId } from '../../lib/protocol/key-id.ts';
import { premasterRequest } from '../../lib/protocol/request-encoder.ts';
import { until } from '../helpers/edge.ts';
import { type KeyServerSetup, makeKeyServers } from '../helpers/key-servers.ts';
import { type ServeFiles, ServeProcess, serveFiles } from '../helpers/serve-process.ts';
import { connectPeer, type WirePeer } from '../helpers/wire-peer.ts';

let setup: KeyServerSetup;
let files: ServeFiles;
const running: ServeProcess[] = [];

before(async () => {
  setup = await makeKeyServers(['p256', 'rsa']);
  files = serveFiles(setup);
});
after(async () => {
  for (const serve of running) serve.child.kill('SIGKILL');
  await Promise.all(running.map((serve) => serve.ended));
  files.remove();
});

function start(...names: string[]): ServeProcess {
  const serve = new ServeProcess([...files.args, ...names.flatMap((name) => ['--allow-decrypt', name])]);
  running.push(serve);
  return serve;
}

/** Of a premaster secret; or the code of the error. */
async function decrypt(peer: WirePeer, publicKey: KeyObject): Promise<'ok' | number> {
  const keyId = subjectKeyId(publicKey.export({ type: 'spki', format: 'der' }));
  const premaster = Buffer.concat([Buffer.from([3, 3]), Buffer.alloc(46, 7)]);
  const ciphertext = publicEncrypt({ key: publicKey, padding: constants.RSA_PKCS1_PADDING }, premaster);
  const answer = await peer.ask(premasterRequest(ciphertext, 0x0303, { keyId }));
  if (answer.kind === 'error') return answer.code;
  assert.ok(answer.kind === 'result' && premaster.equals(answer.payload));
  return 'ok';
}

test('--allow-decrypt says which of its keys decrypt nothing; one that comes later does', async () => {
  const named = [
    'p256.key',
    'later.key',
    'nosuch.key',
    setup.sites.p256!.keyId.toString('hex').toUpperCase(),
  ];
  const serve = start(...named);
  const port = await serve.port();
  const problems = serve.events.filter(({ event }) => event === 'key-problem');
  assert.deepEqual(
    problems.map(({ file }) => file),
    named,
  );
  for (const [at, says] of [
    /does not decrypt/,
    /no such key now/,
    /no such key now/,
    /does not decrypt/,
  ].entries()) {
    assert.match(String(problems[at]!.reason), says);
  }
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' });
  writeFileSync(files.path('keys/later.key'), pem, { mode: 0o600 });
  await serve.event('key', ({ file }) => file === 'later.key');
  const peer = await connectPeer(port, setup.edgeOptions);
  assert.equal(await decrypt(peer, publicKey), 'ok');
  rmSync(files.path('keys/later.key'));
});

test('a copy of a named file takes nothing from it; when the name is nowhere any more, that is told', async () => {
  const serve = start('rsa.key');
  const peer = await connectPeer(await serve.port(), setup.edgeOptions);
  const publicKey = createPublicKey(setup.sites.rsa!.keyPem);
  // Behind and before the other, as names are sorted.
  const copies = ['site-2026.key', 'a-site.key'].map((name) => files.path(`keys/${name}`));
  for (const copy of copies) copyFileSync(files.path('keys/rsa.key'), copy);
  writeFileSync(files.path('keys/marker.key'), 'no key', { mode: 0o600 });
  await serve.event('key-problem', ({ file }) => file === 'marker.key');
  assert.equal(await decrypt(peer, publicKey), 'ok');
  const toldOf = () =>
    serve.events.filter(({ event, file }) => event === 'key-problem' && file === 'rsa.key');
  assert.deepEqual(toldOf(), []);
  renameSync(files.path('keys/rsa.key'), copies[0]!);
  const { reason } = await serve.event('key-problem', ({ file }) => file === 'rsa.key');
  assert.equal(reason, '--allow-decrypt names it, and there is no such key now');
  assert.equal(await decrypt(peer, publicKey), 2);
  renameSync(copies[0]!, files.path('keys/rsa.key'));
  rmSync(files.path('keys/p256.key'));
  await serve.event('key-removed');
  assert.equal(await decrypt(peer, publicKey), 'ok');
  assert.equal(toldOf().length, 1);
});

test('of a named key that is for signing only by the policy it is told, at the start and when the policy changes', async () => {
  const id = setup.sites.rsa!.keyId.toString('hex').toUpperCase();
  const write = (uses: readonly string[]) => {
    const clients = [{ name: 'any', identities: ['DNS:localhost'] }];
    writeFileSync(files.path('uses.json'), JSON.stringify({ version: 1, clients, keys: { [id]: { uses } } }));
  };
  const reason = '--allow-decrypt names it, and by its "uses" in the policy it signs only';
  write(['sign']);
  const args = [...files.args, '--allow-decrypt', 'rsa.key', '--policy', files.path('uses.json')];
  const serve = new ServeProcess(args);
  running.push(serve);
  await serve.port();
  const told = () => serve.events.filter(({ event, file }) => event === 'key-problem' && file === 'rsa.key');
  assert.deepEqual(
    told().map((each) => each.reason),
    [reason],
  );
  write(['sign', 'decrypt']);
  await serve.event('policy');
  assert.equal(told().length, 1);
  write(['sign']);
  await until(() => told().length === 2);
  assert.equal(told()[1]!.reason, reason);
});

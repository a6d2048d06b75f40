import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { constants, publicEncrypt, randomBytes, verify } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import tls from 'node:tls';
import { promisify } from 'node:util';
import { connectKeyServers, createServer, type KeyServers } from '../../../lib/index.ts';
import { encodeResult } from '../../../lib/protocol/answers.ts';
import type { KeyServer } from '../../../lib/server/key-server.ts';
import { rsaRawDecrypt } from '../../../lib/signing/raw-rsa.ts';
import { KEY_KINDS } from '../../helpers/certificates.ts';
import { x25519Exchange } from '../../helpers/handshake-messages.ts';
import { type KeyServerSetup, makeKeyServers } from '../../helpers/key-servers.ts';
import { decryptOperation, signOperation } from '../../helpers/operations.ts';
import { startRudeKeyServer } from '../../helpers/rude-key-server.ts';

let setup: KeyServerSetup;
let keyServer: KeyServer & { port: number };
let keys: KeyServers;

before(async () => {
  setup = await makeKeyServers();
  keyServer = await setup.start({ allowDecrypt: 'every-key' });
  keys = connectKeyServers({ servers: [`127.0.0.1:${keyServer.port}`], ...setup.edgeOptions });
  await keys.ready();
});
after(async () => {
  keys.close();
  await keyServer.close();
});

async function handshake(kind: string, options: tls.ConnectionOptions): Promise<string> {
  const server = createServer({ cert: setup.sites[kind]!.certPem, key: keys }, (socket) =>
    socket.end('served'),
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const client = tls.connect({ host: 'localhost', port, ca: setup.authority.certPem, ...options });
  const chunks: Buffer[] = [];
  client.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(client, 'close');
  server.close();
  return Buffer.concat(chunks).toString();
}

for (const kind of KEY_KINDS) {
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    test(`a server with a ${kind} certificate and its key on a key server completes ${version}`, async () => {
      assert.equal(await handshake(kind, { minVersion: version, maxVersion: version }), 'served');
    });
  }
}

test('RSA key exchange goes to the key server as well', async () => {
  assert.equal(await handshake('rsa', { maxVersion: 'TLSv1.2', ciphers: 'AES128-GCM-SHA256' }), 'served');
});

test('several operations at once each get their own signature', async () => {
  const { keyId, publicKey } = setup.sites.p256!;
  const operations = Array.from({ length: 50 }, () => signOperation(keyId));
  const signatures = await Promise.all(operations.map((operation) => keys.sign(operation)));
  for (const [at, { message }] of operations.entries())
    assert.ok(verify('sha256', message, publicKey, signatures[at]!));
});

test('ours answer a decryption with 48 bytes, random ones where the premaster is not that of the client', async () => {
  const { keyId, publicKey } = setup.sites.rsa!;
  const encrypt = (premaster: Buffer) =>
    publicEncrypt({ key: publicKey, padding: constants.RSA_PKCS1_PADDING }, premaster);
  const good = Buffer.concat([Buffer.of(3, 3), randomBytes(46)]);
  assert.deepEqual(Buffer.from(await keys.decrypt!(decryptOperation(keyId, encrypt(good)))), good);
  const other = Buffer.concat([Buffer.of(3, 1), randomBytes(46)]);
  const answer = Buffer.from(await keys.decrypt!(decryptOperation(keyId, encrypt(other))));
  assert.equal(answer.length, 48);
  assert.notDeepEqual(answer, other);
});

test('those of the field answer with the raw block, which comes back as it is', async () => {
  const { keyId, publicKey, privateKey } = setup.sites.rsa!;
  const field = await startRudeKeyServer({
    server: setup.server,
    ca: setup.authority.certPem,
    profile: 'field',
    onRequest: ({ id, items }, socket) => {
      assert.equal(items.opcode![0], 0x01);
      assert.deepEqual(Buffer.from(items.keyId!), keyId);
      socket.write(encodeResult(id, rsaRawDecrypt(privateKey, items.payload!)));
    },
  });
  const edge = connectKeyServers({ servers: [field.address], ...setup.edgeOptions });
  const premaster = Buffer.concat([Buffer.of(3, 3), randomBytes(46)]);
  const ciphertext = publicEncrypt({ key: publicKey, padding: constants.RSA_PKCS1_PADDING }, premaster);
  const block = Buffer.from(await edge.decrypt!(decryptOperation(keyId, ciphertext)));
  assert.deepEqual([block.length, block.subarray(-48)], [256, premaster]);
  edge.close();
  await field.close();
});

test('a key that the key server does not have, and a message it does not sign, are not found', async () => {
  await assert.rejects(keys.sign(signOperation(randomBytes(20))), { code: 'ERR_KEYLESS_KEY_NOT_FOUND' });
  const odd = signOperation(setup.sites.p256!.keyId, 'ecdsa_secp256r1_sha256', Buffer.from('a contract'));
  await assert.rejects(keys.sign(odd), { code: 'ERR_KEYLESS_KEY_NOT_FOUND' });
  const legacy = signOperation(setup.sites.rsa!.keyId, 'rsa_pkcs1_sha1', x25519Exchange());
  await assert.rejects(keys.sign(legacy), { code: 'ERR_KEYLESS_REFUSED' });
  await assert.rejects(keys.sign(signOperation(randomBytes(20), 'toString' as 'ed25519')), {
    code: 'ERR_KEYLESS_UNSUPPORTED_SCHEME',
  });
});

test('an idle connection does not keep the process alive, a pending operation does', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'keyless-tls-test-'));
  try {
    const options = { servers: [`127.0.0.1:${keyServer.port}`], ...setup.edgeOptions };
    const index = new URL('../../../lib/index.js', import.meta.url).href;
    const keyId = setup.sites.p256!.keyId.toString('hex');
    await writeFile(join(folder, 'options.json'), JSON.stringify(options), { mode: 0o600 });
    const program = `
      import { readFileSync } from 'node:fs';
      import { connectKeyServers } from ${JSON.stringify(index)};
      const keys = connectKeyServers(JSON.parse(readFileSync('options.json', 'utf8')));
      const hash = new Uint8Array(32);
      const prefix = Buffer.from(' '.repeat(64) + 'TLS 1.3, server CertificateVerify\\0');
      const operation = { kind: 'sign', scheme: 'ecdsa_secp256r1_sha256', message: Buffer.concat([prefix, hash]),
        keyId: Buffer.from('${keyId}', 'hex'), role: 'server', deadline: Infinity };
      await keys.ready();
      const signature = await keys.sign(operation);
      console.log(signature[0]);
    `;
    await writeFile(join(folder, 'edge.mjs'), program);
    const { stdout } = await promisify(execFile)(process.execPath, ['edge.mjs'], {
      cwd: folder,
      timeout: 120_000,
    });
    assert.equal(stdout, '48\n');
  } finally {
    await rm(folder, { recursive: true });
  }
});

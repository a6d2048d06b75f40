/** A second implementation of the protocol, written from docs/protocol.md alone, against ours: as edge and as key server. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { constants, publicEncrypt, verify, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import tls, { type SecureVersion } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { connectKeyServers, createServer, leaseTicketKeys } from '../../lib/index.ts';
import type { Answer } from '../../lib/protocol/answers.ts';
import { pingRequest, signRequest, ticketKeysRequest } from '../../lib/protocol/request-encoder.ts';
import type { Items } from '../../lib/protocol/tags.ts';
import type { KeyServerOptions } from '../../lib/server/key-server.ts';
import { identityOf } from '../../lib/server/peer-identity.ts';
import { close, listen } from '../helpers/connections.ts';
import { certificateVerify } from '../helpers/handshake-messages.ts';
import { type KeyServerSetup, makeKeyServers } from '../helpers/key-servers.ts';
import { decryptOperation } from '../helpers/operations.ts';
import { connectPeer } from '../helpers/wire-peer.ts';

const PEER = fileURLToPath(new URL('../../../test/interop/naive-peer.py', import.meta.url));

let setup: KeyServerSetup;
let folder: string;
const at = (name: string) => join(folder, name);
const ski = (kind: 'p256' | 'rsa') => setup.sites[kind]!.keyId.toString('hex');

before(async () => {
  setup = await makeKeyServers(['p256', 'rsa']);
  folder = mkdtempSync(join(tmpdir(), 'keyless-tls-peer-'));
  const files = {
    'ca.crt': setup.authority.certPem,
    'edge.crt': setup.edge.certPem,
    'edge.key': setup.edge.keyPem,
    'server.crt': setup.server.certPem,
    'server.key': setup.server.keyPem,
    'p256.key': setup.sites.p256!.keyPem,
    'rsa.key': setup.sites.rsa!.keyPem,
    'rsa.pub': String(setup.sites.rsa!.publicKey.export({ type: 'spki', format: 'pem' })),
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(at(name), text, { mode: 0o600 });
});
after(() => rmSync(folder, { recursive: true, force: true }));

function python(...args: string[]): ChildProcess {
  return spawn('python3', [PEER, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
}

interface Line {
  readonly what: string;
  readonly opcode: number;
  readonly payload: string;
  readonly message: string;
  readonly alpn?: string;
  readonly premaster?: string;
  readonly derived?: boolean;
}

/** What our key server answered to each of its questions. */
async function askedByPeer(options: Partial<KeyServerOptions>): Promise<ReadonlyMap<string, Line>> {
  const keyServer = await setup.start(options);
  const files = [at('edge.crt'), at('edge.key'), at('ca.crt')];
  const peer = python('client', String(keyServer.port), ...files, ski('p256'), ski('rsa'), at('rsa.pub'));
  let said = '';
  peer.stdout!.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  assert.deepEqual(await once(peer, 'close'), [0, null]);
  await keyServer.close();
  const lines = said
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);
  return new Map(lines.map((line) => [line.what, line]));
}

/** Each error of the table in docs/protocol.md that a request can have. */
const REFUSED: Readonly<Record<string, string>> = {
  'under another name': '06',
  'a contract': '02',
  'another key': '02',
  'another kind of key': '01',
  'another digest': '07',
  'no message': '05',
  'no opcode': '07',
  'an unknown opcode': '05',
  'an unknown function': '05',
  'a function without a name': '07',
  'an answer': '06',
  'a raw decryption': '05',
};

test('as an edge: our key server signs, decrypts, leases ticket keys and refuses, as the document says', async () => {
  const { pin } = identityOf(new X509Certificate(setup.edge.certPem));
  const got = await askedByPeer({
    allowDecrypt: 'every-key',
    tickets: { secret: Buffer.alloc(32, 0x5a), periodMs: 3_600_000 },
    grants: { clients: [{ name: 'naive', identities: [pin], tickets: { group: 'edges' } }] },
  });
  const payload = (what: string) => Buffer.from(got.get(what)!.payload, 'hex');
  const { alpn, premaster } = got.get('connected')!;
  assert.equal(alpn, 'keyless-tls/1');
  assert.deepEqual([got.get('ping')!.opcode, payload('ping').toString()], [0xf2, 'hello']);
  const { functions } = JSON.parse(payload('capabilities').toString()) as { functions: string[] };
  assert.deepEqual(functions, ['capabilities', 'sign:ed448', 'rsa-premaster', 'ticket-keys']);
  const { p256, rsa } = setup.sites;
  const message = (what: string) => Buffer.from(got.get(what)!.message, 'hex');
  assert.ok(verify('sha256', message('signature'), p256!.publicKey, payload('signature')));
  assert.deepEqual([got.get('again')!.opcode, payload('again')], [0xf0, payload('signature')]);
  const pss = { key: rsa!.publicKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 };
  assert.ok(verify('sha256', message('signature of RSA'), pss, payload('signature of RSA')));
  assert.equal(payload('premaster').toString('hex'), premaster);
  for (const what of ['no premaster', 'another version']) {
    assert.deepEqual([got.get(what)!.opcode, payload(what).length], [0xf0, 48]);
    assert.notEqual(payload(what).toString('hex'), premaster);
  }
  assert.deepEqual([payload('ticket keys').length, got.get('ticket keys')!.derived], [208, true]);
  for (const [what, code] of Object.entries(REFUSED)) {
    const { opcode, payload: said } = got.get(what)!;
    assert.deepEqual([what, opcode, said], [what, 0xff, code]);
  }
});

test('as an edge that may nothing: neither decryption nor ticket keys exist', async () => {
  const got = await askedByPeer({});
  for (const what of ['premaster', 'no premaster', 'ticket keys']) {
    const { opcode, payload } = got.get(what)!;
    assert.deepEqual([what, opcode, payload], [what, 0xff, '05']);
  }
});

/** A client that can verify one kind of signature only. */
async function visit(
  port: number,
  maxVersion: SecureVersion,
  sigalgs: string,
  ciphers?: string,
): Promise<string | null> {
  const ca = setup.authority.certPem;
  const options = { host: '127.0.0.1', servername: 'localhost', ca, maxVersion, sigalgs, ciphers };
  const client = tls.connect({ port, ...options });
  await once(client, 'secureConnect');
  const protocol = client.getProtocol();
  client.resume();
  await once(client, 'close');
  return protocol;
}

/** Of clients that have encrypted nothing, or another version, or a premaster with bad padding. */
function badCiphertexts(): Buffer[] {
  const { publicKey: key } = setup.sites.rsa!;
  return [
    publicEncrypt({ key, padding: constants.RSA_NO_PADDING }, Buffer.alloc(256, 1)),
    publicEncrypt({ key, padding: constants.RSA_PKCS1_PADDING }, Buffer.alloc(48, 2)),
    publicEncrypt(
      { key, padding: constants.RSA_NO_PADDING },
      Buffer.concat([Buffer.of(0, 1), Buffer.alloc(205, 5), Buffer.of(0, 3, 3), Buffer.alloc(46, 7)]),
    ),
  ];
}

test('as a key server: it makes of bad premasters what ours makes of them', async () => {
  const files = [at('server.crt'), at('server.key'), at('ca.crt'), at('rsa.key')];
  const peer = python('server', ...files, ski('rsa'));
  try {
    const [port] = (await once(peer.stdout!, 'data')) as [Buffer];
    const bad = badCiphertexts();
    await using ours = await setup.start({ allowDecrypt: 'every-key' });
    const [theirs, own] = await Promise.all(
      [String(port).trim(), ours.port].map(async (each) => {
        const servers = [`127.0.0.1:${each}`];
        const keys = connectKeyServers({ servers, servername: 'localhost', ...setup.edgeOptions });
        const operations = bad.map((ciphertext) => decryptOperation(setup.sites.rsa!.keyId, ciphertext));
        const premasters = await Promise.all(operations.map(async (each) => keys.decrypt!(each)));
        keys.close();
        return premasters;
      }),
    );
    assert.deepEqual(theirs, own);
  } finally {
    peer.kill('SIGKILL');
  }
});

test('as a key server: it answers pings and refuses what ours refuses, with the same codes', async () => {
  const { keyId } = setup.sites.p256!;
  const message = certificateVerify();
  const good = signRequest('ecdsa_secp256r1_sha256', message, { keyId });
  const questions: readonly Items[] = [
    pingRequest(Buffer.from('hello')),
    pingRequest(),
    { ...good, payload: Buffer.alloc(32) },
    signRequest('ecdsa_secp256r1_sha256', message, { keyId: Buffer.alloc(20) }),
    { ...ticketKeysRequest(), functionName: Buffer.from('nothing') },
    { ...pingRequest(), opcode: Buffer.of(0x99) },
  ];
  const files = [at('server.crt'), at('server.key'), at('ca.crt'), at('p256.key')];
  const peer = python('server', ...files, ski('p256'));
  try {
    const [port] = (await once(peer.stdout!, 'data')) as [Buffer];
    await using ours = await setup.start();
    const answers = await Promise.all(
      [Number(String(port)), ours.port].map(async (each) => {
        const wire = await connectPeer(each, setup.edgeOptions);
        const heard: Answer[] = [];
        for (const question of questions) heard.push(await wire.ask(question));
        wire.close();
        return heard;
      }),
    );
    assert.deepEqual(answers[0], answers[1]);
  } finally {
    peer.kill('SIGKILL');
  }
});

for (const kind of ['p256', 'rsa'] as const) {
  test(`as a key server: our edge has it sign with a key of the kind ${kind}`, async () => {
    const files = [at('server.crt'), at('server.key'), at('ca.crt'), at(`${kind}.key`)];
    const peer = python('server', ...files, ski(kind));
    try {
      const [port] = (await once(peer.stdout!, 'data')) as [Buffer];
      const servers = [`127.0.0.1:${String(port).trim()}`];
      const keys = connectKeyServers({ servers, servername: 'localhost', ...setup.edgeOptions });
      const server = createServer({ cert: setup.sites[kind]!.certPem, key: keys }, (socket) =>
        socket.end('hello'),
      );
      const edge = await listen(server);
      const sigalgs = kind === 'p256' ? 'ECDSA+SHA256' : 'RSA-PSS+SHA256';
      for (const version of ['TLSv1.2', 'TLSv1.3'] as const)
        assert.equal(await visit(edge, version, sigalgs), version);
      // Signatures and, with RSA, one premaster.
      if (kind === 'rsa') assert.equal(await visit(edge, 'TLSv1.2', sigalgs, 'AES128-GCM-SHA256'), 'TLSv1.2');
      assert.equal(keys.stats().succeeded, kind === 'rsa' ? 3 : 2);
      const lease = leaseTicketKeys(keys);
      await lease.ready();
      assert.equal(lease.stats().state, 'held');
      lease.close();
      await close(server);
      keys.close();
    } finally {
      peer.kill('SIGKILL');
    }
  });
}

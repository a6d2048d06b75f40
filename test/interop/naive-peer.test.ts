/** A second implementation of the protocol, written from docs/protocol.md alone, against ours: as edge and as key server. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { verify } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import tls, { type SecureVersion } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { connectKeyServers, createServer } from '../../lib/index.ts';
import { close, listen } from '../helpers/connections.ts';
import { type KeyServerSetup, makeKeyServers } from '../helpers/key-servers.ts';

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
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(at(name), text, { mode: 0o600 });
});
after(() => rmSync(folder, { recursive: true, force: true }));

function python(...args: string[]): ChildProcess {
  return spawn('python3', [PEER, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
}

test('as an edge: our key server answers its ping, signs once, and signs handshakes only', async () => {
  const keyServer = await setup.start();
  const peer = python(
    'client',
    String(keyServer.port),
    at('edge.crt'),
    at('edge.key'),
    at('ca.crt'),
    ski('p256'),
  );
  let said = '';
  peer.stdout!.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  assert.deepEqual(await once(peer, 'close'), [0, null]);
  await keyServer.close();
  type Line = { opcode: number; payload: string; message: string; alpn?: string };
  const [pong, signed, again, contract] = said
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);
  assert.deepEqual(pong, {
    opcode: 0xf2,
    payload: Buffer.from('hello').toString('hex'),
    alpn: 'keyless-tls/1',
  });
  assert.equal(signed!.opcode, 0xf0);
  const [message, signature] = [signed!.message, signed!.payload].map((hex) => Buffer.from(hex, 'hex'));
  assert.ok(verify('sha256', message!, setup.sites.p256!.publicKey, signature!));
  assert.deepEqual([again!.opcode, again!.payload], [0xff, '06']);
  assert.deepEqual([contract!.opcode, contract!.payload], [0xff, '02']);
});

/** A client that can verify one kind of signature only. */
async function visit(port: number, maxVersion: SecureVersion, sigalgs: string): Promise<string | null> {
  const ca = setup.authority.certPem;
  const client = tls.connect({ port, host: '127.0.0.1', servername: 'localhost', ca, maxVersion, sigalgs });
  await once(client, 'secureConnect');
  const protocol = client.getProtocol();
  client.resume();
  await once(client, 'close');
  return protocol;
}

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
      assert.equal(keys.stats().succeeded, 2);
      await close(server);
      keys.close();
    } finally {
      peer.kill('SIGKILL');
    }
  });
}

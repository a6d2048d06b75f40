/** Keys that are not the edge's, keys that are not the certificate's, and recordings: rows 14, 28 and 29. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { signRequest } from '../../lib/protocol/request-encoder.ts';
import { type ServerOperation, serverOperation } from '../../lib/server/channels.ts';
import { identityOf } from '../../lib/server/peer-identity.ts';
import { startBadKeyServer } from '../helpers/bad-key-server.ts';
import { closed } from '../helpers/closed.ts';
import { startEdge, until } from '../helpers/edge.ts';
import { certificateVerify } from '../helpers/handshake-messages.ts';
import { type KeyServerSetup, makeKeyServers } from '../helpers/key-servers.ts';
import { MAIN } from '../helpers/serve-process.ts';
import { connectPeer } from '../helpers/wire-peer.ts';

let setup: KeyServerSetup;
let folder: string;

before(async () => {
  setup = await makeKeyServers(['p256', 'rsa']);
  folder = mkdtempSync(join(tmpdir(), 'keyless-tls-strangers-'));
});
after(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}

/** `keyless-tls check` of one site, by a process of its own. */
async function check(address: string, certPem: string): Promise<{ status: number; said: string }> {
  const { cert, key, ca } = setup.edgeOptions;
  const args = ['--cert', file('edge.crt', cert), '--key', file('edge.pem', key), '--ca', file('ca.crt', ca)];
  const child = spawn(
    process.execPath,
    [MAIN, 'check', ...args, '--server', address, '--site', file('site.crt', certPem)],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
  }
  const [status] = (await once(child, 'close')) as [number];
  return { status, said };
}

for (const kind of ['p256', 'rsa']) {
  test(`row 14: another ${kind} key under that id is found by check, and at the first handshake`, async () => {
    const site = setup.sites[kind]!;
    const server = await startBadKeyServer(setup);
    const edge = await startEdge(setup, site, [server.address]);
    try {
      assert.equal((await check(server.address, site.certPem)).status, 0);
      server.manner = 'other-key';
      const { status, said } = await check(server.address, site.certPem);
      assert.equal(status, 1, said);
      assert.match(said, /verify/);
      await edge.visit();
      await until(() => edge.errors.length > 0);
      assert.deepEqual(edge.errors, ['ERR_KEYLESS_BAD_SIGNATURE']);
    } finally {
      await edge.close();
      await server.close();
    }
  });
}

test('row 28: a key of another edge is not found, as one that does not exist; the audit tells them apart', async () => {
  const [mine, others] = [setup.sites.p256!, setup.sites.rsa!];
  const { pin } = identityOf(new X509Certificate(setup.edge.certPem));
  const server = await setup.start({
    grants: { clients: [{ name: 'edge 1', identities: [pin], keys: [mine.keyId.toString('hex')] }] },
  });
  const told: (string | undefined)[] = [];
  const listener = (message: unknown) => told.push((message as ServerOperation).refusal);
  const peer = await connectPeer(server.port, setup.edgeOptions);
  subscribe(serverOperation.name, listener);
  try {
    const ask = (keyId: Buffer, scheme: 'rsa_pss_rsae_sha256' | 'ecdsa_secp256r1_sha256') =>
      peer.ask(signRequest(scheme, certificateVerify(), { keyId }));
    const another = await ask(others.keyId, 'rsa_pss_rsae_sha256');
    const nothing = await ask(Buffer.alloc(20, 7), 'rsa_pss_rsae_sha256');
    assert.deepEqual(another, nothing);
    assert.deepEqual(another, { kind: 'error', code: 2 });
    assert.equal((await ask(mine.keyId, 'ecdsa_secp256r1_sha256')).kind, 'result');
    assert.deepEqual(told, ['key-not-granted', 'unknown-key', undefined]);
  } finally {
    unsubscribe(serverOperation.name, listener);
    peer.close();
    await server.close();
  }
});

/** What a client sends to a port, as it is on the wire. */
async function recorded(port: number, work: (port: number) => Promise<void>): Promise<readonly Buffer[]> {
  const chunks: Buffer[] = [];
  const tap = net.createServer((from) => {
    const to = net.connect(port, '127.0.0.1');
    from.on('data', (chunk: Buffer) => chunks.push(chunk));
    from.pipe(to).pipe(from);
    for (const socket of [from, to]) socket.on('error', () => undefined);
  });
  tap.listen(0, '127.0.0.1');
  await once(tap, 'listening');
  await work((tap.address() as AddressInfo).port);
  tap.close();
  return chunks;
}

test('row 29: a recorded connection, sent again, signs nothing', async () => {
  const { keyId } = setup.sites.p256!;
  const server = await setup.start();
  let operations = 0;
  const listener = () => {
    operations += 1;
  };
  subscribe(serverOperation.name, listener);
  try {
    const chunks = await recorded(server.port, async (port) => {
      const peer = await connectPeer(port, setup.edgeOptions);
      const answer = await peer.ask(signRequest('ecdsa_secp256r1_sha256', certificateVerify(), { keyId }));
      assert.equal(answer.kind, 'result');
      peer.close();
    });
    assert.ok(Buffer.concat(chunks).length > 1024, 'a request is among it');
    const before = operations;
    const replay = net.connect(server.port, '127.0.0.1');
    replay.resume().write(Buffer.concat(chunks));
    await closed(replay);
    assert.deepEqual([operations, server.stats().refused], [before, 1]);
  } finally {
    unsubscribe(serverOperation.name, listener);
    await server.close();
  }
});

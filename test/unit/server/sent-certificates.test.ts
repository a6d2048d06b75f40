/** What a client sends beside its own certificate: whoever is let in through TLS chooses it freely. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { after, before, test } from 'node:test';
import tls from 'node:tls';
import { internals } from '../../../lib/engine/tls-handle.ts';
import { pingRequest } from '../../../lib/protocol/request-encoder.ts';
import type { KeyServer } from '../../../lib/server/key-server.ts';
import { type KeyServerSetup, makeKeyServers } from '../../helpers/key-servers.ts';
import { selfMade } from '../../helpers/self-made-certificate.ts';
import { connectPeer, type WirePeer } from '../../helpers/wire-peer.ts';

let setup: KeyServerSetup;
let calm: string;
before(async () => {
  setup = await makeKeyServers(['p256']);
  calm = await setup.authority.revoke([]);
});

const servers: KeyServer[] = [];
after(() => Promise.all(servers.map((server) => server.close())));

async function start(options: Parameters<KeyServerSetup['start']>[0] = {}) {
  const server = await setup.start(options);
  servers.push(server);
  return server;
}

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });

/** 350 bytes each, and twice those of the name more. */
function selfMadeOnes(count: number, name = 'Nobody'): string {
  const ones = Array.from({ length: count }, () => selfMade({ name, publicKey, signedBy: privateKey }));
  return ones.map(({ certPem }) => certPem).join('');
}

/** Each with the edge's certificate and, behind it, others. */
function connector(port: number, others: string): () => Promise<WirePeer> {
  const { cert, key, ca } = setup.edgeOptions;
  const secureContext = tls.createSecureContext({ cert: cert + others, key, ca });
  return () => connectPeer(port, { ca }, 'ours', { secureContext });
}

async function isServed(peer: WirePeer): Promise<boolean> {
  try {
    return (await peer.ask(pingRequest())).kind === 'pong';
  } catch {
    return false;
  }
}

test('whom the policy turns away is not asked for more than its own certificate', async (context) => {
  const asked = context.mock.method(tls.TLSSocket.prototype, 'getPeerCertificate');
  const { port } = await start({ crl: calm, grants: { clients: [] } });
  const peer = await connector(port, selfMadeOnes(2))();
  await peer.closed;
  const servers = asked.mock.calls.filter(
    (call) => internals(call.this as tls.TLSSocket)._tlsOptions.isServer,
  );
  assert.deepEqual(
    servers.map(({ arguments: [detailed] }) => detailed === true),
    [false],
  );
});

const CLIENTS: Readonly<Record<string, Parameters<KeyServerSetup['start']>[0]>> = {
  'is served': { crl: 'calm' },
  'is turned away': { grants: { clients: [] } },
};

for (const [how, options] of Object.entries(CLIENTS)) {
  test(`whoever ${how} and comes again and again leaves no memory taken`, async () => {
    const { port } = await start({ ...options, ...(options?.crl && { crl: calm }) });
    const connect = connector(port, selfMadeOnes(30));
    const come = async (times: number) => {
      for (let time = 0; time < times; time += 1) {
        const peer = await connect();
        assert.equal(await isServed(peer), options?.grants === undefined);
        peer.close();
        await peer.closed;
      }
      return process.memoryUsage.rss();
    };
    // Lost, they are 250 KB of each connection.
    const mebibytes = (-(await come(30)) + (await come(100))) / 1_048_576;
    assert.ok(mebibytes < 12, `${mebibytes} MiB`);
  });
}

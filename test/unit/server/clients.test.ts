import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { after, before, test } from 'node:test';
import type { Answer } from '../../../lib/protocol/answers.ts';
import { signRequest } from '../../../lib/protocol/request-encoder.ts';
import type { KeyServer, KeyServerOptions } from '../../../lib/server/key-server.ts';
import { identityOf, policyNamesOf } from '../../../lib/server/peer-identity.ts';
import { certificateVerify } from '../../helpers/handshake-messages.ts';
import { type KeyServerSetup, makeKeyServers } from '../../helpers/key-servers.ts';
import { connectPeer, type WirePeer } from '../../helpers/wire-peer.ts';

let setup: KeyServerSetup;
let pin: string;
let other: { cert: string; key: string; ca: string };

before(async () => {
  setup = await makeKeyServers(['p256', 'ed25519']);
  pin = identityOf(new X509Certificate(setup.edge.certPem)).pin;
  const issued = await setup.authority.issue({ type: 'p256', usage: 'client', cn: 'edge 2' });
  other = { cert: issued.certPem, key: issued.keyPem, ca: setup.authority.certPem };
});

let keyServer: (KeyServer & { port: number }) | undefined;
const peers: WirePeer[] = [];
after(() => keyServer?.close());

async function serve(options: Partial<KeyServerOptions>): Promise<void> {
  for (const peer of peers.splice(0)) peer.close();
  await keyServer?.close();
  keyServer = await setup.start(options);
}

async function connect(credentials = setup.edgeOptions): Promise<WirePeer> {
  const peer = await connectPeer(keyServer!.port, credentials);
  peers.push(peer);
  return peer;
}

function sign(
  peer: WirePeer,
  message = certificateVerify(),
  kind: 'p256' | 'ed25519' = 'p256',
): Promise<Answer> {
  const scheme = kind === 'p256' ? 'ecdsa_secp256r1_sha256' : 'ed25519';
  const keyId = setup.sites[kind]!.keyId;
  return peer.ask(signRequest(scheme, message, { keyId, servername: 'www.example.org' }));
}

const result = async (answer: Promise<Answer>) => {
  const { kind, ...rest } = await answer;
  return kind === 'error' ? (rest as { code: number }).code : kind;
};

test('an edge whose certificate has no subject is known by its names, and served', async () => {
  const alternativeNames = 'critical,URI:spiffe://example.org/edge';
  const { certPem, keyPem } = await setup.authority.issue({
    ...{ type: 'p256', usage: 'client', cn: '' },
    alternativeNames,
  });
  const identities = ['URI:spiffe://example.org/edge'];
  await serve({ grants: { clients: [{ name: 'edge', identities }] } });
  const peer = await connect({ cert: certPem, key: keyPem, ca: setup.authority.certPem });
  assert.equal(await result(sign(peer)), 'result');
});

test('one message is signed once, whoever asks, on whatever connection', async () => {
  await serve({});
  const [edge, again, stranger] = [await connect(), await connect(), await connect(other)];
  const message = certificateVerify();
  const signature = await sign(edge, message);
  assert.equal(signature.kind, 'result');
  for (const peer of [edge, again]) assert.deepEqual(await sign(peer, message), signature);
  assert.equal(await result(sign(stranger, message)), 6);
  assert.equal(await result(sign(stranger)), 'result');
});

test('Ed25519, which has no digest on the wire, is signed once too', async () => {
  await serve({});
  const [edge, stranger] = [await connect(), await connect(other)];
  const message = certificateVerify();
  assert.equal(await result(sign(edge, message, 'ed25519')), 'result');
  assert.equal(await result(sign(stranger, message, 'ed25519')), 6);
});

test('a server may be told to sign again', async () => {
  await serve({ replayWindowMs: 0 });
  const edge = await connect();
  const message = certificateVerify();
  assert.deepEqual(
    [await result(sign(edge, message)), await result(sign(edge, message))],
    ['result', 'result'],
  );
});

test('a client that the policy does not name is turned away', async () => {
  await serve({ grants: { clients: [{ name: 'one', identities: [pin] }] } });
  assert.equal(await result(sign(await connect())), 'result');
  const stranger = await connect(other);
  await stranger.closed;
  assert.equal(keyServer!.stats().refused, 1);
});

test('a client whose list of names is empty, at which newer versions of Node throw, is known by its key', async () => {
  const issued = await setup.authority.issue({
    type: 'p256',
    usage: 'client',
    alternativeNames: 'DER:30:00',
  });
  const { names, pin: itsPin } = identityOf(new X509Certificate(issued.certPem));
  assert.deepEqual(names, []);
  await serve({ grants: { clients: [{ name: 'edge', identities: [itsPin] }] } });
  const credentials = { cert: issued.certPem, key: issued.keyPem, ca: setup.authority.certPem };
  assert.equal(await result(sign(await connect(credentials))), 'result');
});

test('a key that was not granted answers like one that is not there', async () => {
  const keys = [setup.sites.p256!.keyId.toString('hex')];
  await serve({ grants: { clients: [{ name: 'one', identities: [pin], keys }] } });
  const edge = await connect();
  assert.equal(await result(sign(edge)), 'result');
  const notGranted = await sign(edge, certificateVerify(), 'ed25519');
  const unknown = await edge.ask(
    signRequest('ed25519', certificateVerify(), { keyId: Buffer.alloc(20), servername: 'www.example.org' }),
  );
  assert.deepEqual(notGranted, unknown);
});

test('over its rate a client is told what lets it try another key server', async () => {
  await serve({
    grants: { clients: [{ name: 'one', identities: [pin], rate: { perSecond: 0.001, burst: 2 } }] },
  });
  const edge = await connect();
  assert.deepEqual(
    [await result(sign(edge)), await result(sign(edge)), await result(sign(edge))],
    ['result', 'result', 8],
  );
});

test('revoking a client ends its connections at once and leaves the others alone', async () => {
  await serve({});
  const [edge, stranger] = [await connect(), await connect(other)];
  assert.equal(await result(sign(edge)), 'result');
  keyServer!.setGrants({
    clients: [{ name: 'two', identities: [identityOf(new X509Certificate(other.cert)).pin] }],
    revoked: [pin],
  });
  await edge.closed;
  assert.equal(await result(sign(stranger)), 'result');
  const back = await connect();
  await back.closed;
});

test('a narrower policy holds for the connections that are there', async () => {
  await serve({ grants: { clients: [{ name: 'one', identities: [pin] }] } });
  const edge = await connect();
  assert.equal(await result(sign(edge)), 'result');
  keyServer!.setGrants({ clients: [{ name: 'one', identities: [pin], servernames: ['other.example.org'] }] });
  assert.equal(await result(sign(edge)), 2);
});

test('a policy that is read again gives nobody another burst', async () => {
  const grants = { clients: [{ name: 'one', identities: [pin], rate: { perSecond: 0.001, burst: 2 } }] };
  await serve({ grants });
  const edge = await connect();
  assert.deepEqual([await result(sign(edge)), await result(sign(edge))], ['result', 'result']);
  keyServer!.setGrants(grants);
  assert.equal(await result(sign(edge)), 8);
  assert.equal(await result(sign(await connect())), 8);
});

test('whom a policy does not name is told by each name that it could have', () => {
  const whole = identityOf(new X509Certificate(setup.edge.certPem));
  const could = ['DNS:a.internal', 'URI:spiffe://a/b', 'email:a@b.internal', 'IP Address:192.0.2.1'];
  const names = [...could, 'DirName:CN = a'];
  assert.deepEqual(policyNamesOf({ ...whole, names }), [...could, whole.pin]);
});

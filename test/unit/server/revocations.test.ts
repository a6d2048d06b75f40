/** Revocation lists under open connections, where other authorities stand between an edge and the one that the key server knows. */
import assert from 'node:assert/strict';
import { createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { after, before, test } from 'node:test';
import { pingRequest } from '../../../lib/protocol/request-encoder.ts';
import type { KeyServerCredentials } from '../../../lib/server/key-server.ts';
import { Authorities } from '../../../lib/server/peer-chain.ts';
import { type CertificateName, certificateName } from '../../../lib/server/revocation-list.ts';
import { type Authority, type Issued, makeAuthority } from '../../helpers/certificates.ts';
import { type KeyServerSetup, makeKeyServers } from '../../helpers/key-servers.ts';
import { selfMade } from '../../helpers/self-made-certificate.ts';
import { connectPeer, type WirePeer } from '../../helpers/wire-peer.ts';

let setup: KeyServerSetup;
let root: Authority;
let north: Authority;
let south: Authority;
let northern: Issued;
let southern: Issued;
/** Lists of all three, with nobody on them, and with `north` on the root's. */
let calm: string;
let northRevoked: string;

before(async () => {
  setup = await makeKeyServers(['p256']);
  root = await makeAuthority('Root');
  [north, south] = await Promise.all([root.subordinate('North'), root.subordinate('South')]);
  const client = { type: 'p256', usage: 'client' } as const;
  [northern, southern] = await Promise.all([north.issue(client), south.issue(client)]);
  const [own, ...rest] = await Promise.all([root.revoke([]), north.revoke([]), south.revoke([])]);
  calm = [own, ...rest].join('');
  northRevoked = [await root.revoke([north]), ...rest].join('');
});

after(() => setup.close());

function credentials(crl: string | undefined, ca = root.certPem): KeyServerCredentials {
  return { cert: setup.server.certPem, key: setup.server.keyPem, ca, crl };
}

/** @param chain what it sends after its own certificate */
function connect(port: number, edge: Issued, ...chain: readonly { certPem: string }[]): Promise<WirePeer> {
  const cert = [edge, ...chain].map(({ certPem }) => certPem).join('');
  return connectPeer(port, { cert, key: edge.keyPem, ca: setup.authority.certPem });
}

async function isServed(peer: WirePeer): Promise<boolean> {
  try {
    return (await peer.ask(pingRequest())).kind === 'pong';
  } catch {
    return false;
  }
}

test('who has its certificate from a revoked authority is disconnected at once, others are not', async () => {
  const server = await setup.start(credentials(calm));
  const [revoked, stays] = await Promise.all([
    connect(server.port, northern, north),
    connect(server.port, southern, south),
  ]);
  assert.deepEqual([await isServed(revoked), await isServed(stays)], [true, true]);
  server.setCredentials(credentials(northRevoked));
  await revoked.closed;
  assert.equal(await isServed(stays), true);
  stays.close();
});

test('also where the key server knows that authority, and the edge does not send it', async () => {
  const ca = root.certPem + north.certPem;
  const server = await setup.start(credentials(calm, ca));
  const peer = await connect(server.port, northern);
  assert.equal(await isServed(peer), true);
  server.setCredentials(credentials(northRevoked, ca));
  await peer.closed;
});

/** How an issuer is written in a list, where it is `Root` in UTF-8 in the certificates. */
const SPELLINGS: Readonly<Record<string, readonly [name: string, mask: string]>> = {
  'as another type of string': ['Root', 'nombstr'],
  'in other letters': ['ROOT', 'utf8only'],
  'with spaces around it': [' Root ', 'utf8only'],
};

for (const [how, [name, mask]] of Object.entries(SPELLINGS)) {
  test(`a list whose issuer is written ${how} counts for open connections as for new ones`, async () => {
    const other = await makeAuthority(name, { keyPem: root.keyPem, stringMask: mask });
    const list = (await other.revoke([north])) + calm;
    const server = await setup.start(credentials(calm));
    const peers = await Promise.all([
      connect(server.port, northern, north),
      connect(server.port, southern, south),
    ]);
    assert.deepEqual(await Promise.all(peers.map(isServed)), [true, true]);
    server.setCredentials(credentials(list));
    assert.deepEqual(await Promise.all(peers.map(isServed)), [false, true]);
    peers[1]!.close();
  });
}

test('where there were no lists when they came, all have to come again', async () => {
  const server = await setup.start(credentials(undefined));
  const come = () =>
    Promise.all([connect(server.port, northern, north), connect(server.port, southern, south)]);
  const peers = await come();
  for (const peer of peers) assert.equal(await isServed(peer), true);
  server.setCredentials(credentials(northRevoked));
  for (const peer of peers) await peer.closed;
  const [revoked, stays] = await come();
  assert.deepEqual([await isServed(revoked), await isServed(stays)], [false, true]);
  stays.close();
});

/** What an edge sends beside its chain, to be looked at in its place. */
const IMPOSTORS: Readonly<Record<string, () => Promise<readonly { certPem: string }[]>>> = {
  'the same authority under another root of the same name': async () => {
    const other = await makeAuthority('Root');
    return [await other.subordinate('North', north.keyPem), other];
  },
  'an earlier certificate of that authority, which has expired': async () => [
    await root.subordinate('North', north.keyPem, -1),
  ],
  'a certificate of the same name, for itself': async () => [await makeAuthority('North')],
};

for (const [what, make] of Object.entries(IMPOSTORS)) {
  test(`an edge cannot hide its revoked authority behind ${what}`, async () => {
    const impostors = await make();
    const server = await setup.start(credentials(calm));
    for (const chain of [
      [...impostors, north],
      [north, ...impostors],
    ]) {
      server.setCredentials(credentials(calm));
      const peer = await connect(server.port, northern, ...chain);
      const served = await isServed(peer);
      server.setCredentials(credentials(northRevoked));
      await peer.closed;
      // OpenSSL takes the first of a name, or the one that is valid.
      assert.equal(served || chain[0] !== north, true);
    }
  });
}

test('an edge that sends an expired certificate of its authority, and then the one that is valid, is served', async () => {
  const expired = await root.subordinate('North', north.keyPem, -1);
  const server = await setup.start(credentials(calm));
  const peer = await connect(server.port, northern, expired, north);
  assert.equal(await isServed(peer), true);
  peer.close();
});

test('an authority that has another certificate, which nobody revoked, still vouches by that', async () => {
  const again = await root.subordinate('North', north.keyPem);
  const server = await setup.start(credentials(calm));
  const peer = await connect(server.port, northern, again);
  assert.equal(await isServed(peer), true);
  server.setCredentials(credentials(northRevoked));
  assert.equal(await isServed(peer), true);
  peer.close();
});

/** Forms of BER (X.690 §8.1.3) that OpenSSL takes for a serial number and DER does not have. */
const NO_DER: Readonly<Record<string, string>> = {
  'a length of five octets': '02850000000003100001',
  'a length of nine octets': '0289000000000000000003100001',
};

for (const [what, serial] of Object.entries(NO_DER)) {
  test(`a certificate with ${what}, which anybody can make and send, vouches for nobody and ends nothing`, async () => {
    const server = await setup.start(credentials(calm));
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const { publicKey } = new X509Certificate(root.certPem);
    const odd = selfMade({
      name: 'Root',
      publicKey,
      signedBy: privateKey,
      serial: Buffer.from(serial, 'hex'),
    });
    const edge = await root.issue({ type: 'p256', usage: 'client' });
    const peer = await connect(server.port, edge, odd);
    assert.equal(await isServed(peer), true);
    peer.close();
  });
}

/** The authority's own name and key, vouched for by somebody else, who so vouches for everybody in front of him. */
function selfMadePath(length: number) {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const signedBy = privateKey;
  const first = selfMade({
    name: 'North',
    publicKey: new X509Certificate(north.certPem).publicKey,
    signedBy,
  });
  const rest = Array.from({ length: length - 1 }, () => selfMade({ name: 'North', publicKey, signedBy }));
  return [first, ...rest].map(({ certPem }) => certPem);
}

test('of a path that leads nowhere, however long it is, a handful of signatures is verified', (context) => {
  const verify = context.mock.method(X509Certificate.prototype, 'verify');
  assert.equal(chainOf(...selfMadePath(50)), undefined);
  const [short, root] = [8, 1];
  assert.ok(verify.mock.callCount() <= 2 * short + root, String(verify.mock.callCount()));
});

/** @param behind the certificate of `northern`, one behind the other */
function chainOf(...behind: readonly (string | Buffer)[]): readonly CertificateName[] | undefined {
  const path = [northern.certPem, ...behind].map((each) => new X509Certificate(each));
  return new Authorities(root.certPem).chainOf(path);
}

const nameOf = ({ certPem }: { certPem: string }) => certificateName(new X509Certificate(certPem).raw);

test('a certificate that says it is of the authority, and has no signature of it, leads nowhere', () => {
  const der = new X509Certificate(north.certPem).raw;
  const serial = Buffer.from(new X509Certificate(north.certPem).serialNumber, 'hex');
  der[der.indexOf(serial) + serial.length - 1]! ^= 1;
  assert.ok(new X509Certificate(der).checkIssued(new X509Certificate(root.certPem)));
  assert.deepEqual([chainOf(north.certPem)?.length, chainOf(der)], [3, undefined]);
});

test('what has the name and the key of an authority, and has expired or is none, vouches for nobody', async () => {
  const [expired, none] = await Promise.all([
    root.subordinate('North', north.keyPem, -1),
    root.issueFor(north.keyPem, 'North'),
  ]);
  assert.deepEqual(chainOf(north.certPem), [northern, north, root].map(nameOf));
  for (const impostor of [expired, none]) assert.equal(chainOf(impostor.certPem), undefined);
});

test('an authority that no list can name vouches for nobody, though it is one', () => {
  const { publicKey } = new X509Certificate(north.certPem);
  const signedBy = createPrivateKey(root.keyPem);
  const made = { name: 'North', issuer: 'Root', publicKey, signedBy };
  assert.equal(chainOf(selfMade(made).certPem)?.length, 3);
  for (const serial of Object.values(NO_DER)) {
    assert.equal(chainOf(selfMade({ ...made, serial: Buffer.from(serial, 'hex') }).certPem), undefined);
  }
});

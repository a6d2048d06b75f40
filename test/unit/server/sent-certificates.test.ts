/** What a client sends beside its own certificate: whoever is let in through TLS chooses it freely. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, sign } from 'node:crypto';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { after, before, type TestContext, test } from 'node:test';
import tls from 'node:tls';
import { internals } from '../../../lib/engine/tls-handle.ts';
import type { PrivateKey } from '../../../lib/keys/private-key.ts';
import type { ServerConnectionRefused } from '../../../lib/server/channels.ts';
import { createSecureContext } from '../../../lib/tls.ts';
import type { Authority, Issued } from '../../helpers/certificates.ts';
import { type KeyServerSetup, makeKeyServers } from '../../helpers/key-servers.ts';
import { type SelfMade, selfMade } from '../../helpers/self-made-certificate.ts';
import { connector, isServed, selfMadeOnes } from '../../helpers/sent-certificates.ts';
import { connectPeer, type WirePeer } from '../../helpers/wire-peer.ts';

let setup: KeyServerSetup;
let calm: string;
before(async () => {
  setup = await makeKeyServers(['p256']);
  calm = await setup.authority.revoke([]);
});

after(() => setup.close());

test('whom the policy turns away is not asked for more than its own certificate', async (context) => {
  const asked = context.mock.method(tls.TLSSocket.prototype, 'getPeerCertificate');
  const { port } = await setup.start({ crl: calm, grants: { clients: [] } });
  const peer = await connector(setup, port, selfMadeOnes(2))();
  await peer.closed;
  const servers = asked.mock.calls.filter(
    (call) => internals(call.this as tls.TLSSocket)._tlsOptions.isServer,
  );
  assert.deepEqual(
    servers.map(({ arguments: [detailed] }) => detailed === true),
    [false],
  );
});

/** @returns how many certificates a key server keeps of a client that sends these beside its own */
async function keptOf(context: TestContext, others: string, edge?: Issued): Promise<number> {
  const asked = context.mock.method(tls.TLSSocket.prototype, 'getPeerCertificate');
  const { port } = await setup.start();
  const peer = await connector(setup, port, others, edge)();
  assert.equal(await isServed(peer), true);
  const sockets = asked.mock.calls.map((call) => call.this as tls.TLSSocket);
  asked.mock.restore();
  const socket = sockets.find((each) => internals(each)._tlsOptions.isServer);
  let kept = 0;
  for (let each = socket?.getPeerX509Certificate(); each; each = each.issuerCertificate) kept += 1;
  peer.close();
  return kept;
}

test('what does not vouch for a client is not kept, what does is', async (context) => {
  assert.equal(await keptOf(context, selfMadeOnes(30)), 1);
  const north = await setup.authority.subordinate('North');
  const edge = await north.issue({ type: 'p256', usage: 'client' });
  assert.equal(await keptOf(context, selfMadeOnes(5) + north.certPem + selfMadeOnes(5), edge), 2);
});

test('a client that sends more than 16 KiB of certificates is refused in its handshake, with a line', async () => {
  const server = await setup.start();
  const refused: ServerConnectionRefused[] = [];
  const listener = (message: unknown) => void refused.push(message as ServerConnectionRefused);
  subscribe('keyless-tls:server:connection:refused', listener);
  const { cert, key } = { cert: setup.server.certPem, key: setup.server.keyPem };
  for (const change of [
    () => undefined,
    () => server.setCredentials({ cert, key, ca: setup.authority.certPem }),
  ]) {
    change();
    const name = 'x'.repeat(1800);
    const fits = await connector(setup, server.port, selfMadeOnes(3, name))();
    assert.equal(await isServed(fits), true);
    fits.close();
    // In TLS 1.3 the client believes that all is well, until it hears of it.
    const tooMany = await connector(setup, server.port, selfMadeOnes(5, name))();
    assert.equal(await isServed(tooMany), false);
  }
  unsubscribe('keyless-tls:server:connection:refused', listener);
  assert.deepEqual(
    refused.map(({ reason, error }) => [reason, (error as NodeJS.ErrnoException).code]),
    Array(2).fill(['tls', 'ERR_SSL_EXCESSIVE_MESSAGE_SIZE']),
  );
});

interface Refused {
  readonly reason: string;
  /** As OpenSSL or Node calls it. */
  readonly why: string;
  /** What the handshake failed with. */
  readonly code: string | undefined;
  /** OpenSSL says that a signature of the handshake is not the client's. */
  readonly isBadSignature: boolean;
}

/** @returns what a key server says of a client that connects so */
async function refusalBy(connect: (port: number) => Promise<WirePeer>, crl?: string): Promise<Refused> {
  const { port } = await setup.start({ crl });
  const refused = new Promise<ServerConnectionRefused>((resolve) => {
    const listener = (message: unknown) => {
      unsubscribe('keyless-tls:server:connection:refused', listener);
      resolve(message as ServerConnectionRefused);
    };
    subscribe('keyless-tls:server:connection:refused', listener);
  });
  const peer = await connect(port).catch(() => undefined);
  if (peer !== undefined) assert.equal(await isServed(peer), false);
  const { reason, error } = await refused;
  const why = / ([A-Z_]+)\.$/.exec(error.message)?.[1] ?? error.message;
  const { code, message } = (error.cause ?? error) as NodeJS.ErrnoException;
  return { reason, why, code, isBadSignature: /signature/.test(message) };
}

/** @param certPem the client's certificate, and those behind it */
function refusalOf(certPem: string, keyPem: string, crl?: string): Promise<Refused> {
  const edge: Issued = { certPem, keyPem, certDer: Buffer.alloc(0) };
  return refusalBy((port) => connector(setup, port, '', edge)(), crl);
}

/** The handshake ends at the chain: nothing is verified by the client's own key. */
const ENDED = { reason: 'certificate', code: 'ERR_SSL_CERTIFICATE_VERIFY_FAILED', isBadSignature: false };

const strangersKey = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const { privateKey: anotherKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const strangersPem = strangersKey.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;

/** Of a stranger: with a signature that the key of the next one, or of the authority, has not made. */
function forged(one: Pick<SelfMade, 'name' | 'issuer' | 'hasExpired'>): string {
  return selfMade({ ...one, publicKey: strangersKey.publicKey, signedBy: anotherKey }).certPem;
}

/** By what is told: of signatures that are verified, those that are wrong are; and an end, if it is looked at, is told last. */
const STRANGERS: Readonly<Record<string, readonly [why: string, () => string]>> = {
  'by itself': ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', () => forged({ name: 'Edge', issuer: 'North' })],
  'whose chain does not lead to the authority: none of its signatures is verified': [
    'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
    () =>
      forged({ name: 'Edge', issuer: 'North' }) +
      forged({ name: 'North', issuer: 'Far' }) +
      forged({ name: 'Far', issuer: 'Nowhere' }),
  ],
  'whose chain ends with an authority of its own: nor is one there': [
    'SELF_SIGNED_CERT_IN_CHAIN',
    () => forged({ name: 'Edge', issuer: 'North' }) + forged({ name: 'North' }),
  ],
  'whose chain leads there by its names: nothing is looked at below the first one that is wrong': [
    'CERT_SIGNATURE_FAILURE',
    () =>
      forged({ name: 'Edge', issuer: 'North', hasExpired: true }) +
      forged({ name: 'North', issuer: 'Test authority' }),
  ],
};

for (const [what, [why, make]] of Object.entries(STRANGERS)) {
  test(`a stranger ${what}`, async () => {
    assert.deepEqual(await refusalOf(make(), strangersPem), { ...ENDED, why });
  });
}

/** A P-256 key that has the curve in numbers, not by its name (RFC 5480 forbids it). */
function explicitKey(): string {
  const options = ['-name', 'prime256v1', '-param_enc', 'explicit', '-genkey', '-noout'];
  return execFileSync('openssl', ['ecparam', ...options], { encoding: 'utf8' });
}

const issued = (more: string) => () => setup.authority.issue({ type: 'p256', usage: 'client', more: [more] });

for (const [why, make] of [
  ['UNHANDLED_CRITICAL_EXTENSION', issued('1.2.3.4=critical,DER:05:00')],
  ['EC_KEY_EXPLICIT_PARAMS', () => setup.authority.issueFor(explicitKey())],
] as const) {
  test(`what OpenSSL has a name for and Node has none is told of by that: ${why}`, async () => {
    const { certPem, keyPem } = await make();
    assert.deepEqual(await refusalOf(certPem, keyPem), { ...ENDED, why });
  });
}

test('revocation lists are looked at for clients of the authority, not for strangers', async () => {
  const north = await setup.authority.subordinate('North');
  const ofAnother = await north.revoke([]);
  const { certPem, keyPem } = setup.edge;
  const edges = await refusalOf(certPem, keyPem, ofAnother);
  assert.deepEqual(edges, { ...ENDED, why: 'UNABLE_TO_GET_CRL' });
  for (const [why, make] of Object.values(STRANGERS))
    assert.deepEqual(await refusalOf(make(), strangersPem, ofAnother), { ...ENDED, why });
  const revoked = await setup.authority.revoke([setup.edge]);
  assert.deepEqual(await refusalOf(certPem, keyPem, revoked), { ...ENDED, why: 'CERT_REVOKED' });
});

/** Of a client that has this certificate, and another key. */
function withWrongSignature(cert: string, version: tls.SecureVersion): Promise<Refused> {
  const key: PrivateKey = {
    verify: 'never',
    schemes: ['ecdsa_secp256r1_sha256'],
    sign: ({ message }) => sign('sha256', message, anotherKey),
  };
  const versions = { minVersion: version, maxVersion: version };
  const ca = setup.authority.certPem;
  const secureContext = createSecureContext({ cert, key, ca, ...versions });
  return refusalBy((port) => connectPeer(port, { ca }, 'field', { secureContext, ...versions }));
}

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`the signature of a stranger's handshake is not verified, that of an edge's is, ${version}`, async () => {
    const [why, make] = STRANGERS['by itself']!;
    assert.deepEqual(await withWrongSignature(make(), version), { ...ENDED, why });
    const { reason, isBadSignature } = await withWrongSignature(setup.edge.certPem, version);
    assert.deepEqual([reason, isBadSignature], ['tls', true]);
  });
}

test('seven authorities stand between a client and that of the key server, and no more', async () => {
  const between: Authority[] = [];
  let last = setup.authority;
  for (let count = 0; count < 8; count += 1) {
    last = await last.subordinate(`Authority ${count}`);
    between.unshift(last);
  }
  const { port } = await setup.start();
  const [seven, eight] = await Promise.all(
    [between[1]!, between[0]!].map((each) => each.issue({ type: 'p256', usage: 'client' })),
  );
  const chainOf = (authorities: readonly Authority[]) => authorities.map(({ certPem }) => certPem).join('');
  const peer = await connector(setup, port, chainOf(between.slice(1)), seven!)();
  assert.equal(await isServed(peer), true);
  peer.close();
  assert.deepEqual(await refusalOf(eight!.certPem + chainOf(between), eight!.keyPem), {
    ...ENDED,
    why: 'CERT_CHAIN_TOO_LONG',
  });
});

test('a key server sends what stands between its certificate and the authority, which "ca" has, also with revocation lists', async () => {
  const { authority } = setup;
  const north = await authority.subordinate('North');
  const own = await north.issue({ type: 'p256', usage: 'server' });
  const credentials = { cert: own.certPem, key: own.keyPem, ca: authority.certPem + north.certPem };
  const lists = (await authority.revoke([])) + (await north.revoke([]));
  for (const crl of [undefined, lists]) {
    const server = await setup.start({ ...credentials, crl });
    for (const change of [() => undefined, () => server.setCredentials({ ...credentials, crl })]) {
      change();
      // The edge knows the one authority only.
      const peer = await connector(setup, server.port, '')();
      assert.equal(await isServed(peer), true);
      peer.close();
    }
  }
});

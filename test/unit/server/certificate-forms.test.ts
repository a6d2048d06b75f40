/** Other forms of a certificate, which whoever has it can make: ECDSA, `n - s` for `s`; RSASSA-PSS, without zeros that it begins with. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { after, before, test } from 'node:test';
import { otherForms, signedPart } from '../../../lib/server/certificate-forms.ts';
import type { ServerConnectionRefused } from '../../../lib/server/channels.ts';
import { identityOf } from '../../../lib/server/peer-identity.ts';
import { type Issued, makeAuthority } from '../../helpers/certificates.ts';
import { type KeyServerSetup, makeKeyServers } from '../../helpers/key-servers.ts';
import { selfMade } from '../../helpers/self-made-certificate.ts';
import { connector, isServed } from '../../helpers/sent-certificates.ts';

const CURVES = [
  ...['secp224r1', 'P-256', 'P-384', 'P-521', 'secp256k1'],
  ...['brainpoolP256r1', 'brainpoolP384r1', 'brainpoolP512r1', 'brainpoolP256t1'],
];

for (const namedCurve of CURVES) {
  test(`an authority on ${namedCurve}: one other form is valid, and from there the way leads back`, () => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve });
    // `s` has a byte less than the order now and then.
    for (let count = 0; count < 20; count += 1) {
      const { certPem } = selfMade({ name: 'Edge', publicKey, signedBy: privateKey });
      const { raw } = new X509Certificate(certPem);
      const valid = otherForms(raw).filter((form) => new X509Certificate(form).verify(publicKey));
      assert.equal(valid.length, 1);
      assert.deepEqual(signedPart(valid[0]!), signedPart(raw));
      assert.ok(otherForms(valid[0]!).some((form) => form.equals(raw)));
    }
  });
}

/** @returns a certificate whose signature begins with a zero (one in 256), and without it */
function pssForms(ca: KeyObject, publicKey: KeyObject): readonly [Buffer, Buffer] {
  let raw: Buffer;
  do {
    const { certPem } = selfMade({ name: 'Edge', issuer: 'PSS', publicKey, signedBy: ca });
    ({ raw } = new X509Certificate(certPem));
  } while (raw.at(-SIGNATURE_BYTES) !== 0);
  const shorter = otherForms(raw).find((form) => form.length < raw.length);
  assert.ok(shorter);
  return [raw, shorter];
}

const SIGNATURE_BYTES = 256;
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });

test('an authority that signs with RSASSA-PSS: without a zero at its beginning a form is valid, and the way leads back', () => {
  const [raw, shorter] = pssForms(rsa.privateKey, rsa.publicKey);
  assert.equal(new X509Certificate(shorter).verify(rsa.publicKey), true);
  assert.deepEqual(signedPart(shorter), signedPart(raw));
  const longer = otherForms(shorter);
  assert.ok(longer.some((form) => form.equals(raw)));
  // Of more zeros, too, which are rarer.
  assert.deepEqual(
    longer.map(({ length }) => length - shorter.length),
    [1, 2, 3, 4],
  );
});

test('of a certificate that is signed otherwise there is no other form', async () => {
  const authority = await makeAuthority('RSA', {
    keyPem: rsa.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
  });
  const certificate = new X509Certificate(authority.certPem);
  assert.deepEqual(otherForms(certificate.raw), []);
  assert.equal(identityOf(certificate).fingerprint, certificate.fingerprint256);
});

let setup: KeyServerSetup;
/** The edge's certificate, as it was issued and as its holder has written it. */
let forms: readonly [Issued, Issued];

before(async () => {
  setup = await makeKeyServers(['p256']);
  const { publicKey } = new X509Certificate(setup.authority.certPem);
  const { edge } = setup;
  const other = otherForms(edge.certDer).find((form) => new X509Certificate(form).verify(publicKey))!;
  forms = [edge, { ...edge, certPem: new X509Certificate(other).toString(), certDer: other }];
});

after(() => setup.close());

/** @param identities of the client of these forms */
async function revokeEach(
  forms: readonly Issued[],
  identities: readonly string[],
  ca: string,
): Promise<void> {
  const clients = [{ name: 'edge', identities }];
  const server = await setup.start({ ca, grants: { clients } });
  for (const { certDer } of forms) {
    server.setGrants({ clients });
    const connect = () => Promise.all(forms.map((form) => connector(setup, server.port, '', form)()));
    const peers = await connect();
    assert.deepEqual(await Promise.all(peers.map(isServed)), [true, true]);
    const revoked = [new X509Certificate(certDer).fingerprint256];
    server.setGrants({ clients, revoked });
    await Promise.all(peers.map((peer) => peer.closed));
    assert.deepEqual(await Promise.all((await connect()).map(isServed)), [false, false]);
  }
}

test('whose certificate is revoked by its fingerprint is turned away with it in every form, new and connected', () =>
  revokeEach(forms, ['DNS:localhost'], setup.authority.certPem));

test('likewise where the authority signs with RSASSA-PSS', async () => {
  const { certPem: ca } = selfMade({ name: 'PSS', publicKey: rsa.publicKey, signedBy: rsa.privateKey });
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const keyPem = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
  const both = pssForms(rsa.privateKey, publicKey).map((certDer) => {
    const certPem = new X509Certificate(certDer).toString();
    return { certDer, certPem, keyPem };
  });
  await revokeEach(both, [identityOf(new X509Certificate(both[0]!.certDer)).pin], ca);
});

test('a client is one client in all forms of its certificate', async () => {
  const { port } = await setup.start({ maxConnectionsPerClient: 1 });
  const first = await connector(setup, port, '', forms[0])();
  assert.equal(await isServed(first), true);
  const refused: ServerConnectionRefused[] = [];
  const listener = (message: unknown) => void refused.push(message as ServerConnectionRefused);
  subscribe('keyless-tls:server:connection:refused', listener);
  for (const form of forms) assert.equal(await isServed(await connector(setup, port, '', form)()), false);
  unsubscribe('keyless-tls:server:connection:refused', listener);
  assert.deepEqual(
    refused.map(({ reason }) => reason),
    ['too-many', 'too-many'],
  );
  first.close();
});

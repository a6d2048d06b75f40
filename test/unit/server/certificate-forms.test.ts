/** The other form of a certificate that is signed with ECDSA, which whoever has the certificate can make: `n - s` for `s`. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
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

test('of a certificate that is signed otherwise there is no other form', async () => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const authority = await makeAuthority('RSA', {
    keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
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

const CLIENTS = [{ name: 'edge', identities: ['DNS:localhost'] }];

test('whose certificate is revoked by its fingerprint is turned away with it in every form, new and connected', async () => {
  const server = await setup.start({ grants: { clients: CLIENTS } });
  for (const { certDer } of forms) {
    server.setGrants({ clients: CLIENTS });
    const connect = () => Promise.all(forms.map((form) => connector(setup, server.port, '', form)()));
    const peers = await connect();
    assert.deepEqual(await Promise.all(peers.map(isServed)), [true, true]);
    const revoked = [new X509Certificate(certDer).fingerprint256];
    server.setGrants({ clients: CLIENTS, revoked });
    await Promise.all(peers.map((peer) => peer.closed));
    assert.deepEqual(await Promise.all((await connect()).map(isServed)), [false, false]);
  }
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

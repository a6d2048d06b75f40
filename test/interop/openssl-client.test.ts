/** The `openssl s_client` of the system, which is not the OpenSSL inside Node.js. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Outcome, run, start } from '../helpers/programs.ts';
import { Edge, pageIn, SCHEMES, SITES, VERSIONS } from './edge.ts';

let edge: Edge;
before(async () => {
  edge = await Edge.start();
});
after(() => edge.end());

const REQUEST = 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n';

/** @returns how it ended after one request and its answer */
const client = (port: number, ...options: string[]): Promise<Outcome> => {
  const trust = ['-CAfile', edge.file('ca.crt'), '-verify_return_error', '-verify_hostname', 'localhost'];
  const where = ['-connect', `127.0.0.1:${port}`, '-servername', 'localhost', '-ign_eof'];
  return run('openssl', ['s_client', ...where, ...trust, ...options], { input: REQUEST });
};

const only = (version: string): string =>
  `-${version.toLowerCase().replace('tlsv', 'tls').replace('.', '_')}`;

const SIGNATURES = { rsa: 'RSA-PSS', p256: 'ECDSA', ed25519: 'ed25519' } as const;

for (const version of VERSIONS) {
  for (const site of SITES) {
    test(`openssl s_client, ${version}, ${site}`, async () => {
      const { code, stdout } = await client(await edge.serve(site), only(version));
      assert.equal(code, 0);
      assert.match(stdout, new RegExp(`^Peer signature type: ${SIGNATURES[site]}$`, 'm'));
      assert.match(stdout, /^Verification: OK$/m);
      assert.equal(pageIn(stdout).protocol, version);
      assert.deepEqual(edge.take(), [SCHEMES[site]]);
    });
  }

  test(`openssl s_client that wants another key share is asked again, and one operation is enough, ${version}`, async () => {
    const port = await edge.serve('rsa', { ecdhCurve: 'P-384' });
    const { stdout } = await client(port, only(version), '-groups', 'X25519:P-384', '-msg');
    assert.equal(pageIn(stdout).protocol, version);
    assert.match(stdout, /^Server Temp Key: ECDH, secp384r1, 384 bits$/m);
    const hellos = stdout.match(/^>>> TLS .*, ClientHello$/gm) ?? [];
    assert.equal(hellos.length, version === 'TLSv1.3' ? 2 : 1);
    assert.deepEqual(edge.take(), [SCHEMES.rsa]);
  });

  test(`openssl s_client with a client certificate, ${version}`, async () => {
    const port = await edge.serve('rsa', { requestCert: true, ca: edge.authority.certPem });
    const { stdout } = await client(
      port,
      only(version),
      '-cert',
      edge.file('client.crt'),
      '-key',
      edge.file('client.key'),
    );
    assert.equal(pageIn(stdout).client, 'visitor');
    assert.deepEqual(edge.take(), [SCHEMES.rsa]);
  });

  test(`openssl s_client without the client certificate that is required gets an alert, ${version}`, async () => {
    const port = await edge.serve('rsa', {
      requestCert: true,
      rejectUnauthorized: true,
      ca: edge.authority.certPem,
    });
    const { code, stderr } = await client(port, only(version));
    assert.equal(code, 1);
    assert.match(stderr, /alert (handshake failure|certificate required)/);
    assert.deepEqual(edge.take(), [SCHEMES.rsa]);
  });

  test(`openssl s_client resumes its session without an operation, ${version}`, async () => {
    const port = await edge.serve('p256');
    const session = edge.file(`session-${version}.pem`);
    assert.equal(pageIn((await client(port, only(version), '-sess_out', session)).stdout).resumed, false);
    assert.deepEqual(edge.take(), [SCHEMES.p256]);
    const { stdout } = await client(port, only(version), '-sess_in', session);
    assert.match(stdout, /^Reused, /m);
    assert.equal(pageIn(stdout).resumed, true);
    assert.deepEqual(edge.take(), []);
  });

  for (const scheme of ['RSA+SHA256', 'RSA-PSS+SHA384', 'RSA-PSS+SHA512']) {
    test(`openssl s_client that accepts ${scheme} alone, ${version}`, async () => {
      const { code, stdout } = await client(await edge.serve('rsa'), only(version), '-sigalgs', scheme);
      const pkcs1In13 = version === 'TLSv1.3' && scheme === 'RSA+SHA256'; // RFC 8446 §4.2.3: for certificates only
      assert.equal(code, pkcs1In13 ? 1 : 0);
      if (pkcs1In13) assert.deepEqual(edge.take(), []);
      else {
        assert.equal(pageIn(stdout).protocol, version);
        const [kind, hash] = scheme.toLowerCase().split('+');
        assert.deepEqual(edge.take(), [kind === 'rsa' ? `rsa_pkcs1_${hash}` : `rsa_pss_rsae_${hash}`]);
      }
    });
  }
}

test('openssl s_client -reconnect: five connections more, and one operation in all', async () => {
  const port = await edge.serve('rsa');
  const { stdout } = await client(port, '-tls1_2', '-reconnect');
  assert.equal(stdout.match(/^New, TLSv1\.2, Cipher is /gm)?.length, 1);
  assert.equal(stdout.match(/^Reused, TLSv1\.2, Cipher is /gm)?.length, 5);
  assert.deepEqual(edge.take(), [SCHEMES.rsa]);
});

for (const cipher of ['AES128-SHA', 'AES256-GCM-SHA384']) {
  test(`openssl s_client, RSA key exchange with ${cipher}`, async () => {
    const { code, stdout } = await client(await edge.serve('rsa'), '-tls1_2', '-cipher', cipher);
    assert.equal(code, 0);
    const { protocol, cipher: negotiated } = pageIn(stdout);
    assert.deepEqual([protocol, negotiated], ['TLSv1.2', cipher]);
    assert.deepEqual(edge.take(), ['decrypt']);
  });
}

test('openssl s_client, RSA key exchange again with -reconnect: resumed, one decryption', async () => {
  const { stdout } = await client(await edge.serve('rsa'), '-tls1_2', '-cipher', 'kRSA', '-reconnect');
  assert.equal(stdout.match(/^Reused, TLSv1\.2, Cipher is AES/gm)?.length, 5);
  assert.deepEqual(edge.take(), ['decrypt']);
});

test('openssl s_client renegotiates (R): each time is an operation', async () => {
  const port = await edge.serve('p256');
  const where = ['-connect', `127.0.0.1:${port}`, '-servername', 'localhost', '-CAfile', edge.file('ca.crt')];
  const peer = start('openssl', ['s_client', ...where, '-tls1_2']);
  await peer.prints(/^ *Verify return code: 0 \(ok\)$/m);
  peer.write('R\n');
  await peer.prints(/^RENEGOTIATING$[\s\S]*verify return:1/m);
  peer.write(REQUEST);
  assert.equal(pageIn((await peer.ended).stdout).protocol, 'TLSv1.2');
  assert.deepEqual(edge.take(), [SCHEMES.p256, SCHEMES.p256]);
});

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Outcome, run } from '../helpers/programs.ts';
import { Edge, pageIn, SCHEMES, SITES, VERSIONS } from './edge.ts';

let edge: Edge;
before(async () => {
  edge = await Edge.start();
});
after(() => edge.end());

const REQUEST = 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n';

/** @param priority what GnuTLS may use */
const client = (port: number, priority: string, ...options: string[]): Promise<Outcome> => {
  const names = ['--sni-hostname', 'localhost', '--verify-hostname', 'localhost'];
  const where = ['--port', String(port), '--x509cafile', edge.file('ca.crt'), ...names];
  return run('gnutls-cli', [...where, '--priority', priority, ...options, '127.0.0.1'], { input: REQUEST });
};

const only = (version: string, more = '') =>
  `NORMAL:-VERS-ALL:+VERS-${version.replace('TLSv', 'TLS')}${more}`;

for (const version of VERSIONS) {
  for (const site of SITES) {
    test(`gnutls-cli, ${version}, ${site}`, async () => {
      const { code, stdout } = await client(await edge.serve(site), only(version));
      assert.equal(code, 0, stdout);
      assert.match(stdout, /^- Status: The certificate is trusted\. $/m);
      assert.equal(pageIn(stdout).protocol, version);
      assert.deepEqual(edge.take(), [SCHEMES[site]]);
    });
  }

  test(`gnutls-cli resumes its session without an operation, ${version}`, async () => {
    const { stdout } = await client(await edge.serve('p256'), only(version), '--resume');
    assert.match(stdout, /^\*\*\* This is a resumed session$/m);
    assert.equal(pageIn(stdout).resumed, true);
    assert.deepEqual(edge.take(), [SCHEMES.p256]);
  });

  test(`gnutls-cli with a client certificate, ${version}`, async () => {
    const port = await edge.serve('rsa', { requestCert: true, ca: edge.authority.certPem });
    const credentials = ['--x509certfile', edge.file('client.crt'), '--x509keyfile', edge.file('client.key')];
    const { stdout } = await client(port, only(version), ...credentials);
    assert.equal(pageIn(stdout).client, 'visitor');
    assert.equal(edge.take().length, 1);
  });
}

test('gnutls-cli with one key share that is not the edge\u2019s is asked again (hello-retry)', async () => {
  const port = await edge.serve('p256', { ecdhCurve: 'P-384' });
  const groups = ':-GROUP-ALL:+GROUP-X25519:+GROUP-SECP384R1';
  const { stdout } = await client(port, only('TLSv1.3', groups), '--single-key-share');
  assert.match(stdout, /\(ECDHE-SECP384R1\)/);
  assert.equal(pageIn(stdout).protocol, 'TLSv1.3');
  assert.deepEqual(edge.take(), [SCHEMES.p256]);
});

test('gnutls-cli, RSA key exchange', async () => {
  const { code, stdout } = await client(await edge.serve('rsa'), only('TLSv1.2', ':-KX-ALL:+RSA'));
  assert.equal(code, 0);
  assert.match(pageIn(stdout).cipher, /^AES/);
  assert.deepEqual(edge.take(), ['decrypt']);
});

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Outcome, run } from '../helpers/programs.ts';
import { Edge, pageIn, SCHEMES, SITES, VERSIONS } from './edge.ts';

let edge: Edge;
before(async () => {
  edge = await Edge.start();
});
after(() => edge.end());

const curl = (port: number, ...options: string[]): Promise<Outcome> => {
  const where = ['--resolve', `localhost:${port}:127.0.0.1`, '--cacert', edge.file('ca.crt')];
  return run('curl', [
    '--silent',
    '--show-error',
    '--noproxy',
    '*',
    ...where,
    ...options,
    `https://localhost:${port}/`,
  ]);
};

const only = (version: string): string[] => {
  const number = version.replace('TLSv', '');
  return [`--tlsv${number}`, '--tls-max', number];
};

for (const version of VERSIONS) {
  for (const site of SITES) {
    test(`curl, ${version}, ${site}`, async () => {
      const { code, stdout, stderr } = await curl(await edge.serve(site), ...only(version));
      assert.deepEqual([code, stderr], [0, '']);
      const { protocol, resumed } = pageIn(stdout);
      assert.deepEqual([protocol, resumed, edge.take()], [version, false, [SCHEMES[site]]]);
    });
  }

  test(`curl over HTTP/2, ${version}`, async () => {
    const { code, stdout, stderr } = await curl(await edge.serveHttp2('p256'), '--http2', ...only(version));
    assert.deepEqual([code, stderr], [0, '']);
    const { protocol, alpn, httpVersion } = pageIn(stdout);
    assert.deepEqual([protocol, alpn, httpVersion], [version, 'h2', '2.0']);
    assert.deepEqual(edge.take(), [SCHEMES.p256]);
  });

  test(`curl with a client certificate, ${version}`, async () => {
    const port = await edge.serve('rsa', { requestCert: true, ca: edge.authority.certPem });
    const credentials = ['--cert', edge.file('client.crt'), '--key', edge.file('client.key')];
    const { stdout, stderr } = await curl(port, ...credentials, ...only(version));
    assert.equal(stderr, '');
    assert.equal(pageIn(stdout).client, 'visitor');
    assert.deepEqual(edge.take(), [SCHEMES.rsa]);
  });
}

test('curl, RSA key exchange', async () => {
  const { code, stdout, stderr } = await curl(
    await edge.serve('rsa'),
    '--tls-max',
    '1.2',
    '--ciphers',
    'AES128-SHA',
  );
  assert.deepEqual([code, stderr], [0, '']);
  assert.equal(pageIn(stdout).cipher, 'AES128-SHA');
  assert.deepEqual(edge.take(), ['decrypt']);
});

test('curl does not trust an edge of another authority: the operation is done, the connection is not', async () => {
  const port = await edge.serve('p256');
  const { code, stderr } = await run('curl', [
    '--silent',
    '--show-error',
    '--noproxy',
    '*',
    `https://127.0.0.1:${port}/`,
  ]);
  assert.equal(code, 60);
  assert.match(stderr, /^curl: \(60\) SSL certificate problem/);
  assert.deepEqual(edge.take(), [SCHEMES.p256]);
});

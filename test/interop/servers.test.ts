/** Servers that are not Node.js, visited by our tls.connect with a keyless client certificate. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { after, before, test } from 'node:test';
import type { SecureVersion } from 'node:tls';
import type { PrivateKey } from '../../lib/keys/private-key.ts';
import { connect } from '../../lib/tls.ts';
import { closeKeyServers, keyOnServers, storeKey } from '../helpers/key-server-side.ts';
import { listeningPorts, type Program, start } from '../helpers/programs.ts';
import { Edge, SCHEMES, SITES, type Site, VERSIONS } from './edge.ts';

let edge: Edge;
/** `keyless-tls serve` signs for clients of TLS 1.3 only: what a TLS 1.2 client signs has no form to recognise. */
let keys: Record<'TLSv1.2' | 'TLSv1.3', PrivateKey>;

before(async () => {
  edge = await Edge.start();
  for (const site of SITES) storeKey(edge.sites[site].keyPem);
  keys = { 'TLSv1.2': await keyOnServers(() => undefined), 'TLSv1.3': edge.keys };
});
after(async () => {
  await closeKeyServers();
  await edge.end();
});

interface ForeignServer {
  readonly program: Program;
  readonly port: number;
}

async function opensslServer(): Promise<ForeignServer> {
  const own = ['-cert', edge.file('server.crt'), '-key', edge.file('server.key')];
  const clients = ['-Verify', '1', '-verify_return_error', '-CAfile', edge.file('ca.crt')];
  const program = start('openssl', ['s_server', '-accept', '127.0.0.1:0', '-www', ...own, ...clients]);
  const [, port] = await program.prints(/^ACCEPT 127\.0\.0\.1:(\d+)$/m);
  return { program, port: Number(port) };
}

async function gnutlsServer(): Promise<ForeignServer> {
  const own = ['--x509certfile', edge.file('server.crt'), '--x509keyfile', edge.file('server.key')];
  const clients = ['--require-client-cert', '--verify-client-cert', '--x509cafile', edge.file('ca.crt')];
  const program = start('gnutls-serv', ['--http', '--port', '0', ...own, ...clients]);
  await program.prints(/^HTTP Server listening on IPv4 .*done$/m);
  const [port] = listeningPorts(program.pid);
  return { program, port: port! };
}

/** Its page, asked for with a certificate whose key is on a key server; `undefined`: with none. */
async function visit(
  { port }: ForeignServer,
  version: SecureVersion,
  site: Site | undefined,
): Promise<string> {
  const credentials =
    site === undefined ? {} : { cert: edge.sites[site].certPem, key: keys[version as 'TLSv1.2' | 'TLSv1.3'] };
  const ca = edge.authority.certPem;
  const names = { host: '127.0.0.1', port, servername: 'localhost', ca };
  const socket = connect({ ...names, ...credentials, minVersion: version, maxVersion: version });
  socket.write('GET / HTTP/1.0\r\nHost: localhost\r\n\r\n');
  return Buffer.concat(await socket.toArray()).toString();
}

const SERVERS = { 'openssl s_server': opensslServer, 'gnutls-serv': gnutlsServer } as const;

for (const [name, startServer] of Object.entries(SERVERS)) {
  for (const version of VERSIONS) {
    test(`${name}, ${version}: each kind of client certificate, its key elsewhere`, async () => {
      const server = await startServer();
      for (const site of SITES) {
        edge.take();
        const page = await visit(server, version, site);
        assert.match(page, /^HTTP\/1\.0 200 /i, site);
        assert.match(page, version === 'TLSv1.3' ? /TLSv?1\.3/ : /TLSv?1\.2/);
        assert.deepEqual(edge.take(), [wishOf(name, version, site)]);
        assertSeen(name, page, site);
      }
      await server.program.end();
    });

    test(`${name}, ${version}: without a certificate it turns the client away`, async () => {
      const server = await startServer();
      edge.take();
      await assert.rejects(visit(server, version, undefined));
      assert.deepEqual(edge.take(), []);
      await server.program.end();
    });
  }
}

/** Of what the server accepts, its first: GnuTLS puts PKCS#1 first, which TLS 1.3 no longer has. */
function wishOf(name: string, version: SecureVersion, site: Site): string {
  return name === 'gnutls-serv' && version === 'TLSv1.2' && site === 'rsa'
    ? 'rsa_pkcs1_sha256'
    : SCHEMES[site];
}

/** The page of s_server holds the client's certificate; that of gnutls-serv says nothing of it. */
function assertSeen(name: string, page: string, site: Site): void {
  if (name !== 'openssl s_server') return;
  const [pem] = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/.exec(page) ?? [];
  assert.equal(
    new X509Certificate(pem!).fingerprint256,
    new X509Certificate(edge.sites[site].certPem).fingerprint256,
  );
}

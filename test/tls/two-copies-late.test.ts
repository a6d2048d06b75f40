/**
 * A copy of the package that is loaded in the middle of a handshake, as by an app that imports a tenant's module when its SNICallback
 * is asked for that name: the copies that were there when the connection was made see to what it makes.
 */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { before, it } from 'node:test';
import tls, { type TlsOptions } from 'node:tls';
import * as ours from '../../lib/index.ts';
import { anotherCopy, type Copy, LINKS, own } from '../helpers/another-copy.ts';
import { type Issued, makeAuthority } from '../helpers/certificates.ts';
import { close, listen } from '../helpers/connections.ts';

let base: Issued;
let chosen: Issued;
let beside: Issued;
before(async () => {
  const authority = await makeAuthority();
  base = await authority.issue({ type: 'p256' });
  chosen = await authority.issue({ type: 'p256' });
  beside = await authority.issue({ type: 'rsa' });
});

const SERVERS: Readonly<Record<string, (options: Pick<TlsOptions, 'SNICallback'>) => tls.Server>> = {
  'a server of this copy': (options) => ours.createServer({ ...own(ours, base), ...options }),
  "Node's own server": (options) => tls.createServer({ cert: base.certPem, key: base.keyPem, ...options }),
};
type MakeServer = (typeof SERVERS)[string];

/** @param make makes the context, with the copy that is loaded when the first client comes */
function serverOf(makeServer: MakeServer, make: (copy: Copy) => tls.SecureContext): tls.Server {
  let loaded: Promise<tls.SecureContext> | undefined;
  const SNICallback: TlsOptions['SNICallback'] = (_name, done) => {
    loaded ??= anotherCopy(LINKS['a hard link']!).then(make);
    loaded.then((context) => done(null, context), done);
  };
  return makeServer({ SNICallback });
}

/** @returns the certificate's fingerprint that a client gets */
async function visit(server: tls.Server, maxVersion: tls.SecureVersion): Promise<string> {
  const { port } = server.address() as AddressInfo;
  const options = { host: '127.0.0.1', servername: 'localhost', rejectUnauthorized: false, maxVersion };
  const client = tls.connect({ ...options, port });
  await Promise.all([once(client, 'secureConnect'), once(server, 'secureConnection')]);
  const { fingerprint256 } = client.getPeerCertificate();
  client.destroy();
  return fingerprint256;
}

for (const [name, makeServer] of Object.entries(SERVERS)) {
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    it(`${name} takes its context for the connection that waits, and for the next, ${maxVersion}`, async () => {
      const server = serverOf(makeServer, (copy) => copy.createSecureContext(own(copy, chosen)));
      server.on('tlsClientError', (error) => assert.fail(error));
      await listen(server);
      const { fingerprint256 } = new X509Certificate(chosen.certPem);
      assert.deepEqual(
        [await visit(server, maxVersion), await visit(server, maxVersion)],
        [fingerprint256, fingerprint256],
      );
      await close(server);
    });
  }

  it(`${name} says why it cannot serve the connection that waits, where only that copy can make such a context`, async () => {
    const server = serverOf(makeServer, (copy) =>
      copy.createSecureContext({
        cert: [chosen.certPem, beside.certPem],
        key: [copy.localKey(chosen.keyPem), beside.keyPem] as unknown as string[],
      }),
    );
    const port = await listen(server);
    const client = tls.connect({
      port,
      host: '127.0.0.1',
      servername: 'localhost',
      rejectUnauthorized: false,
    });
    client.on('error', () => {});
    const [error] = (await once(server, 'tlsClientError')) as [NodeJS.ErrnoException];
    client.destroy();
    await close(server);
    assert.equal(error.code, 'ERR_KEYLESS_STATE');
    assert.match(error.message, /another copy of keyless-tls .* Load that copy before/);
  });
}

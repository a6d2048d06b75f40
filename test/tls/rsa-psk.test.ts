/** RSA-PSK wants the private key and the user's JavaScript in one message: a keyless server does not choose it. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import type { TlsOptions } from 'node:tls';
import tls from 'node:tls';
import { createServer, localKey } from '../../lib/index.ts';
import { type Issued, makeAuthority } from '../helpers/certificates.ts';
import { close, listen } from '../helpers/connections.ts';

const psk = Buffer.alloc(32, 1);
const RSA_PSK = 'RSA-PSK-AES128-GCM-SHA256';
const OTHER = 'DHE-PSK-AES128-GCM-SHA256:PSK-AES128-GCM-SHA256';

let issued: Issued;
before(async () => {
  issued = await (await makeAuthority()).issue({ type: 'rsa' });
});

/** @returns the cipher, or the code of the client's error */
async function visit(options: TlsOptions): Promise<string> {
  const server = createServer({
    cert: issued.certPem,
    key: localKey(issued.keyPem),
    pskCallback: () => psk,
    ...options,
  } as Parameters<typeof createServer>[0]);
  const errors: unknown[] = [];
  server.on('tlsClientError', (error) => errors.push(error));
  const port = await listen(server);
  const outcome = await new Promise<string>((resolve) => {
    const socket = tls.connect({
      port,
      host: '127.0.0.1',
      maxVersion: 'TLSv1.2',
      ciphers: `${RSA_PSK}:${OTHER}`,
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
      pskCallback: () => ({ psk, identity: 'me' }),
    });
    socket.on('secureConnect', () => {
      resolve(socket.getCipher().name);
      socket.destroy();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(String(error.code)));
  });
  await close(server);
  assert.equal(errors.length, outcome.startsWith('ERR_') ? 1 : 0);
  return outcome;
}

test('the next cipher of both is chosen in its place', async () => {
  assert.equal(await visit({ ciphers: `${RSA_PSK}:PSK-AES128-GCM-SHA256` }), 'PSK-AES128-GCM-SHA256');
});

test('where there is no other, the handshake ends with an alert at once', async () => {
  assert.match(await visit({ ciphers: RSA_PSK }), /^ERR_SSL_.*ALERT/);
});

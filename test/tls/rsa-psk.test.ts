/**
 * RSA-PSK wants an operation and the user's JavaScript in one flight: a keyless server does not choose it, a keyless client
 * does not offer it. (Under an RSA key of Node's: node-keys.test.ts.)
 */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import tls, { type TlsOptions } from 'node:tls';
import { type ConnectionOptions, connect, createServer, localKey } from '../../lib/index.ts';
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

/** @returns the cipher a keyless client agrees on with a server of Node's that asks for its certificate, or its error */
async function connectTo(ciphers: string): Promise<string> {
  const server = tls.createServer({
    cert: issued.certPem,
    key: issued.keyPem,
    requestCert: true,
    rejectUnauthorized: false,
    maxVersion: 'TLSv1.2',
    ciphers,
    pskCallback: () => psk,
  } as unknown as TlsOptions);
  server.on('tlsClientError', () => {});
  const port = await listen(server);
  const client = connect({
    port,
    host: '127.0.0.1',
    cert: issued.certPem,
    key: localKey(issued.keyPem),
    ciphers,
    rejectUnauthorized: false,
    checkServerIdentity: () => undefined,
    pskCallback: () => ({ psk, identity: 'me' }),
  } as unknown as ConnectionOptions);
  const outcome = await new Promise<string>((resolve) => {
    client.on('secureConnect', () => resolve(client.getCipher().name));
    client.on('error', (error: NodeJS.ErrnoException) => resolve(String(error.code)));
  });
  client.destroy();
  await close(server);
  return outcome;
}

test('a keyless client offers the others', async () => {
  const other = 'ECDHE-RSA-AES128-GCM-SHA256';
  assert.equal(await connectTo(`${RSA_PSK}:${other}`), other);
});

test('a keyless client that has no other fails at once', async () => {
  assert.match(await connectTo(RSA_PSK), /NO_CIPHERS_AVAILABLE|ALERT_HANDSHAKE_FAILURE/);
});

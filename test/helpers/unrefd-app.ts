/**
 * A process whose handshake waits for its key: `node unrefd-app.js all|client native|keyless`. With "all" nothing that the user has
 * holds it; with "client" its TLS client does.
 */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import tls from 'node:tls';
import * as keyless from '../../lib/index.ts';
import { makeAuthority } from './certificates.ts';

const [holder, mode] = process.argv.slice(2) as ['all' | 'client', 'native' | 'keyless'];

/** Longer than the test waits. */
const LONG_MS = 60_000;
/** Shorter than a peer is left unread. */
const SOON_MS = 100;

/** It lives until the key was asked, however slow the machine is, and no longer. */
const holding = setInterval(() => undefined, LONG_MS);
const authority = await makeAuthority();
const issued = await authority.issue({ type: 'p256', usage: 'both' });
const local = keyless.localKey(issued.keyPem, { sync: true });
const slow: keyless.PrivateKey = {
  timeoutMs: LONG_MS,
  sign: (operation) =>
    new Promise((resolve) => {
      console.log('asked');
      clearInterval(holding);
      if (holder === 'client')
        setTimeout(() => resolve(local.sign(operation) as Uint8Array), SOON_MS).unref();
    }),
};
const key = mode === 'native' ? issued.keyPem : (slow as unknown as string);
const server = tls.createServer({
  cert: issued.certPem,
  key: issued.keyPem,
  requestCert: true,
  ca: authority.certPem,
});
server.on('tlsClientError', () => undefined).on('connection', (socket) => socket.unref());
server.listen(0, '127.0.0.1').unref();
await once(server.ref(), 'listening');
server.unref();
const client = (mode === 'native' ? tls : (keyless as unknown as typeof tls)).connect({
  port: (server.address() as AddressInfo).port,
  host: '127.0.0.1',
  servername: 'localhost',
  ca: authority.certPem,
  cert: issued.certPem,
  key,
});
client.on('secureConnect', () => {
  console.log('secure');
  client.destroy();
});
if (holder === 'all') client.unref();
client.on('close', () => clearInterval(holding));

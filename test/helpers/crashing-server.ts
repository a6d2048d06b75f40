/**
 * A process with a TLS server one of whose handlers throws: `node crashing-server.js where native|sync|delayed`. Natively it does
 * not load the library.
 */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import nodeTls, { type TlsOptions } from 'node:tls';
import type { DecryptOperation, SignOperation } from '../../lib/index.ts';
import { makeAuthority } from './certificates.ts';

const [place, mode] = process.argv.slice(2) as [string, 'native' | 'sync' | 'delayed'];
const ofKeyExchange = place.endsWith(' of RSA key exchange');
const [where] = place.split(' of ') as [string];
const SSL_OP_NO_TICKET = 1 << 14;

const keyless = mode === 'native' ? undefined : await import('../../lib/index.ts');

let exceptions = 0;
process.on('uncaughtException', (error) => {
  exceptions += 1;
  console.log(`uncaughtException ${exceptions}: ${error.message}`);
});

function fail(): never {
  throw new Error('thrown on purpose');
}

/** Typed as what node:tls takes, whatever it is. */
function keyOf(keyPem: string): string {
  if (keyless === undefined) return keyPem;
  const local = keyless.localKey(keyPem, { sync: true });
  const later = <T>(work: () => T) => new Promise<T>((resolve) => setTimeout(() => resolve(work()), 20));
  return (mode === 'sync'
    ? local
    : {
        ...local,
        sign: (operation: SignOperation) => later(() => local.sign(operation)),
        decrypt: (operation: DecryptOperation) => later(() => local.decrypt!(operation)),
      }) as unknown as string;
}

const authority = await makeAuthority();
const issued = await authority.issue({ type: ofKeyExchange ? 'rsa' : 'p256' });
const tls = (keyless ?? nodeTls) as typeof nodeTls;
const options: TlsOptions = { cert: issued.certPem, key: keyOf(issued.keyPem), maxVersion: 'TLSv1.2' };
if (ofKeyExchange) Object.assign(options, { ciphers: 'AES128-GCM-SHA256', secureOptions: SSL_OP_NO_TICKET });
if (where === 'SNICallback') options.SNICallback = fail;
if (where === 'ALPNCallback') options.ALPNCallback = fail;
const server = tls.createServer(options);
server.on('secureConnection', (socket) => {
  socket.on('error', () => undefined);
  if (where === 'secureConnection') fail();
  socket.end('hello');
});
if (where === 'keylog' || where === 'newSession') server.once(where, fail);
server.on('tlsClientError', (error) =>
  console.log(`tlsClientError ${(error as NodeJS.ErrnoException).code} ${error.message}`),
);
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const { port } = server.address() as AddressInfo;
const client = nodeTls.connect({
  port,
  host: '127.0.0.1',
  servername: 'localhost',
  ca: authority.certPem,
  ALPNProtocols: ['a'],
});
if (where === 'session') client.once('session', fail);
client.on('error', (error: NodeJS.ErrnoException) => console.log(`client ${error.code}`));
client.on('close', () => server.close());
client.on('data', (data) => console.log(`client heard ${data}`));
// Natively a connection whose handler threw may stay as it is; the process does not wait for it. In turns: it may stand still.
let turnsLeft = 50;
const deadline = setInterval(() => {
  turnsLeft -= 1;
  if (turnsLeft === 0) process.exit();
}, 20);
server.on('close', () => clearInterval(deadline));

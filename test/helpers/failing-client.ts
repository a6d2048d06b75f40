/**
 * A process with a client whose handshake fails while it has something to write, and whose callback of that throws:
 * `node failing-client.js native|sync|delayed`. Natively the server takes none of its ciphers, otherwise its key fails.
 */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import nodeTls from 'node:tls';
import { makeAuthority } from './certificates.ts';

const mode = process.argv[2] as 'native' | 'sync' | 'delayed';
process.on('uncaughtException', ({ message }) => console.log(`uncaughtException: ${message}`));

/** Typed as what node:tls takes, whatever it is. */
async function failingKey(): Promise<string> {
  const { localKey } = await import('../../lib/index.ts');
  const sign = () => {
    if (mode === 'sync') throw new Error('no');
    return new Promise<never>((_resolve, reject) => setTimeout(() => reject(new Error('no')), 20));
  };
  return { publicKey: localKey(issued.keyPem).publicKey, sign } as unknown as string;
}

const authority = await makeAuthority();
const issued = await authority.issue({ type: 'p256' });
const server = nodeTls.createServer({
  cert: issued.certPem,
  key: issued.keyPem,
  requestCert: true,
  ca: authority.certPem,
});
server.on('tlsClientError', () => undefined);
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const { port } = server.address() as AddressInfo;
const tls = mode === 'native' ? nodeTls : ((await import('../../lib/index.ts')) as unknown as typeof nodeTls);
const own =
  mode === 'native'
    ? ({ minVersion: 'TLSv1.3', ciphers: 'TLS_AES_128_CCM_SHA256' } as const)
    : { cert: issued.certPem, key: await failingKey() };
const client = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...own });
client.on('error', () => undefined);
client.write('early', (error) => {
  console.log(`write: ${(error as NodeJS.ErrnoException | undefined)?.code}`);
  setTimeout(() => process.exit(0), 100);
  throw new Error('thrown on purpose');
});

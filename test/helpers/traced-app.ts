/** A process whose server traces a connection (tls.createServer, `enableTrace`) that is destroyed while its key is asked. */
import { writeSync } from 'node:fs';
import type { Socket } from 'node:net';
import tls from 'node:tls';
import { createServer } from '../../lib/index.ts';
import { makeAuthority } from './certificates.ts';
import { listen } from './connections.ts';

const STDERR = 2;
const { certPem: cert } = await (await makeAuthority()).issue({ type: 'p256' });
let connection: Socket | undefined;
const sign = () => {
  setImmediate(() => {
    writeSync(STDERR, 'destroyed\n');
    connection?.destroy();
    server.close();
  });
  return new Promise<Uint8Array>(() => undefined);
};
const server = createServer({ cert, key: { sign }, enableTrace: true });
server.on('connection', (socket: Socket) => {
  connection = socket;
});
server.on('tlsClientError', () => undefined);
tls.connect({ port: await listen(server), host: '127.0.0.1' }).on('error', () => undefined);

/**
 * A server process under a storm of clients that abort: `node storm.js`, driven by messages. It reports its counters and
 * its memory; the clients live in the parent.
 */
import { createServer, engineStats, localKey, type PrivateKey } from '../../lib/index.ts';

interface Plan {
  readonly certPem: string;
  readonly keyPem: string;
  /** Milliseconds an operation takes at most; it is uniform from 0. */
  readonly delayMs: number;
}

function start({ certPem, keyPem, delayMs }: Plan): void {
  const local = localKey(keyPem, { sync: true });
  const later = (work: () => Uint8Array) =>
    new Promise<Uint8Array>((resolve) => {
      setTimeout(() => resolve(work()), Math.random() * delayMs);
    });
  const { decrypt } = local;
  let operations = 0;
  const key: PrivateKey = {
    sign: (operation) => {
      operations += 1;
      return later(() => local.sign(operation) as Uint8Array);
    },
    decrypt:
      decrypt &&
      ((operation) => {
        operations += 1;
        return later(() => decrypt(operation) as Uint8Array);
      }),
  };
  const server = createServer({ cert: certPem, key }, (socket) =>
    socket.on('error', () => {}).write('hello'),
  );
  server.on('tlsClientError', () => {});
  server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as { port: number }).port }));
  process.on('message', (message) => {
    if (message === 'end') process.exit(0);
    globalThis.gc?.();
    process.send?.({ rss: process.memoryUsage.rss(), operations, ...engineStats() });
  });
}

process.once('message', (message) => start(message as Plan));

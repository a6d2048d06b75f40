/**
 * An edge whose memory is searched: `node key-memory.js`, driven by messages. It terminates TLS with the certificates it
 * is told, and either has the keys itself (the canary) or asks a key server.
 */
import tls from 'node:tls';
import { connectKeyServers, createServer } from '../../lib/index.ts';

interface Plan {
  readonly certs: readonly string[];
  /** Of the canary: it has the keys. */
  readonly keys?: readonly string[];
  /** Another that it has, as JSON has it; the passphrase is "secret". */
  readonly pfx?: { readonly data: readonly number[] };
  /** Whether the key of the first certificate is a PrivateKey, which is asked for nothing. */
  readonly beside?: boolean;
  /** Of the edge: where its keys are. */
  readonly keyServer?: {
    readonly port: number;
    readonly cert: string;
    readonly key: string;
    readonly ca: string;
  };
}

function makeServer({ certs, keys = [], pfx, beside, keyServer }: Plan): tls.Server {
  const more = pfx && { pfx: Buffer.from(pfx.data), passphrase: 'secret' };
  const options = { cert: [...certs], ...more };
  const listener = (socket: tls.TLSSocket) => void socket.on('error', () => {}).end('hello');
  if (keyServer !== undefined) {
    const key = connectKeyServers({ servers: [`127.0.0.1:${keyServer.port}`], ...keyServer });
    return createServer({ ...options, key }, listener);
  }
  if (!beside) return tls.createServer({ ...options, key: [...keys] }, listener);
  const key = { sign: () => Promise.reject(new Error('not asked for')) };
  return createServer({ ...options, key: [key, ...keys] }, listener);
}

process.once('message', (message) => {
  const server = makeServer(message as Plan);
  server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as { port: number }).port }));
});

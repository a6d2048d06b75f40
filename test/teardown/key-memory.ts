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
  /** Of the edge: where its keys are. */
  readonly keyServer?: {
    readonly port: number;
    readonly cert: string;
    readonly key: string;
    readonly ca: string;
  };
}

process.once('message', (message) => {
  const { certs, keys, keyServer } = message as Plan;
  const options = { cert: [...certs] };
  const listener = (socket: tls.TLSSocket) => void socket.on('error', () => {}).end('hello');
  const server =
    keyServer === undefined
      ? tls.createServer({ ...options, key: [...(keys ?? [])] }, listener)
      : createServer(
          { ...options, key: connectKeyServers({ servers: [`127.0.0.1:${keyServer.port}`], ...keyServer }) },
          listener,
        );
  server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as { port: number }).port }));
});

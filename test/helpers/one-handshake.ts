/** One handshake with a keyless server: what came of it. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import tls from 'node:tls';
import { createServer, type TlsOptions } from '../../lib/tls.ts';

/** @returns the protocol; or the code of the server's error */
export async function handshakeWith(
  ca: string,
  options: TlsOptions,
  client: tls.ConnectionOptions = {},
): Promise<string> {
  const server = createServer(options, (socket) => {
    socket.on('error', () => undefined);
    socket.end('welcome');
  });
  const failed = new Promise<string>((resolve) => {
    server.on('tlsClientError', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const socket = tls.connect({ port, host: '127.0.0.1', servername: 'localhost', ca, ...client });
  const served = new Promise<string>((resolve) => {
    socket.on('data', () => resolve(socket.getProtocol()!));
    socket.on('error', () => undefined);
  });
  try {
    return await Promise.race([served, failed]);
  } finally {
    socket.destroy();
    server.close();
  }
}

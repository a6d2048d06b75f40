/** One TLS connection on loopback, told as a transcript. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { ConnectionOptions, Server, TLSSocket } from 'node:tls';
import type { Side } from './parity.ts';

/** Listens on a port of the system's choice. @returns the port */
export async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** Closes a server and waits until its last connection has gone. */
export async function close(server: Server): Promise<void> {
  server.close();
  await once(server, 'close');
}

/** What of an error does not depend on the run. */
export function describeError(error: unknown): Record<string, unknown> {
  const { code, library, reason, message, alert } = error as Record<string, unknown>;
  const text = String(message)
    .replace(/^[0-9A-F]{8,16}:/, '')
    .replace(/:\.\.\/.*?:\d+:/, ':')
    .trimEnd();
  return { code, library, reason, alert, message: text };
}

/** What both sides can say of an established connection. */
export function describeSocket(socket: TLSSocket): Record<string, unknown> {
  const certificate = socket.getPeerCertificate();
  return {
    protocol: socket.getProtocol(),
    cipher: socket.getCipher(),
    alpn: socket.alpnProtocol,
    servername: (socket as unknown as { servername: unknown }).servername,
    authorized: socket.authorized,
    authorizationError: socket.authorizationError ? String(socket.authorizationError) : null,
    peer: Object.keys(certificate).length === 0 ? null : certificate.fingerprint256,
    reused: socket.isSessionReused(),
    ephemeral: socket.getEphemeralKeyInfo(),
  };
}

/** What happened, in order, on each side. */
export interface Transcript {
  readonly server: unknown[];
  readonly client: unknown[];
}

/** `onServer` sees an established connection, `onClient` one that has just begun. */
export interface ConversationOptions {
  readonly client?: ConnectionOptions;
  readonly onServer?: (socket: TLSSocket, log: unknown[]) => void;
  readonly onClient?: (socket: TLSSocket, log: unknown[]) => void;
}

/**
 * One connection to a listening server: the client says "ping", the server answers "pong" and ends.
 *
 * @returns when both ends have closed
 */
export async function converse(
  side: Side,
  server: Server,
  port: number,
  options: ConversationOptions = {},
): Promise<Transcript> {
  const transcript: Transcript = { server: [], client: [] };
  const serverDone = watchServer(server, transcript.server, options);
  const client = side.tls.connect({ port, host: '127.0.0.1', servername: 'localhost', ...options.client });
  const clientDone = watchClient(client, transcript.client, options);
  await Promise.all([serverDone, clientDone]);
  return transcript;
}

function watchServer(server: Server, log: unknown[], { onServer }: ConversationOptions): Promise<void> {
  return new Promise((resolve) => {
    const onSecure = (socket: TLSSocket) => {
      log.push('secureConnection', describeSocket(socket));
      socket.on('error', (error) => log.push('error', describeError(error)));
      socket.on('data', (data) => {
        log.push(String(data));
        socket.end('pong');
      });
      socket.on('close', (hadError) => {
        log.push(`close ${hadError}`);
        stop();
      });
      onServer?.(socket, log);
    };
    const onError = (error: Error) => {
      log.push('tlsClientError', describeError(error));
      stop();
    };
    const stop = () => {
      server.off('secureConnection', onSecure).off('tlsClientError', onError);
      resolve();
    };
    server.on('secureConnection', onSecure).on('tlsClientError', onError);
  });
}

function watchClient(client: TLSSocket, log: unknown[], { onClient }: ConversationOptions): Promise<void> {
  onClient?.(client, log);
  return new Promise((resolve) => {
    client.on('secureConnect', () => {
      log.push('secureConnect', describeSocket(client));
      client.write('ping');
    });
    client.on('data', (data) => log.push(String(data)));
    client.on('end', () => log.push('end'));
    client.on('error', (error) => log.push('error', describeError(error)));
    client.on('close', (hadError) => {
      log.push(`close ${hadError}`);
      resolve();
    });
  });
}

/** Connections of Node's own, looked at from inside: for what lib/engine takes for granted of Node. */
import { once } from 'node:events';
import tls, { type ConnectionOptions, type Server, type TLSSocket, type TlsOptions } from 'node:tls';
import { internals, type TlsHandle } from '../../lib/engine/tls-handle.ts';
import { type Issued, makeAuthority } from './certificates.ts';
import { close, listen } from './connections.ts';

/** A TLSSocket at the end of its _init, as lib/engine/hook.ts sees it. */
export interface Begun {
  readonly socket: TLSSocket;
  readonly handle: TlsHandle;
  readonly role: 'server' | 'client';
}

type Init = (this: TLSSocket, ...values: unknown[]) => void;

/** Calls `seen` at the end of each TLSSocket.prototype._init. @returns what undoes it */
export function watchInit(seen: (begun: Begun) => void): () => void {
  const prototype = tls.TLSSocket.prototype as unknown as { _init: Init };
  const original = prototype._init;
  prototype._init = function _init(...values) {
    original.apply(this, values);
    const { _handle, _tlsOptions } = internals(this);
    seen({ socket: this, handle: _handle as TlsHandle, role: _tlsOptions.isServer ? 'server' : 'client' });
  };
  return () => {
    prototype._init = original;
  };
}

/** What all of these connections use. */
export interface Identity extends Issued {
  readonly ca: string;
}

export async function makeIdentity(): Promise<Identity> {
  const authority = await makeAuthority();
  return { ca: authority.certPem, ...(await authority.issue({ type: 'p256' })) };
}

export interface Connection {
  readonly server?: TlsOptions;
  readonly client?: ConnectionOptions;
  /** The server before it listens. */
  readonly prepare?: (server: Server) => void;
  /** Each end when it begins. */
  readonly begun?: (begun: Begun) => void;
  /** Both ends after the handshake; without it they end at once. */
  readonly open?: (server: TLSSocket, client: TLSSocket) => Promise<void>;
}

function serverOf({ certPem, keyPem }: Identity, { server: options, prepare }: Connection): Server {
  const server = tls.createServer({ cert: certPem, key: keyPem, ...options });
  prepare?.(server);
  return server;
}

/** A native connection, from its beginning to the end of both ends. */
export async function connection(identity: Identity, options: Connection): Promise<void> {
  const undo = watchInit(options.begun ?? (() => {}));
  try {
    const server = serverOf(identity, options);
    const port = await listen(server);
    const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>;
    const client = tls.connect({
      port,
      host: '127.0.0.1',
      servername: 'localhost',
      ca: identity.ca,
      ...options.client,
    });
    const [[peer]] = await Promise.all([accepted, once(client, 'secureConnect')]);
    await options.open?.(peer, client);
    peer.resume().end();
    client.resume().end();
    await close(server);
  } finally {
    undo();
  }
}

/** A listening native server, and `seen` at each TLSSocket that begins until `end` is called, which closes it. */
export async function watchedServer(
  identity: Identity,
  seen: (begun: Begun) => void,
  options: TlsOptions = {},
) {
  const server = serverOf(identity, { server: options });
  server.on('secureConnection', (socket) => socket.on('error', () => {}).end());
  const port = await listen(server);
  const undo = watchInit(seen);
  const end = async (): Promise<void> => {
    undo();
    await close(server);
  };
  return { server, port, end };
}

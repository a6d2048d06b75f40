/** An edge whose key is on key servers, and clients that shake hands with it: what either side sees, counted. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import tls from 'node:tls';
import { connectKeyServers, type KeyServers, type KeyServersOptions } from '../../lib/keys/key-servers.ts';
import * as keyless from '../../lib/tls.ts';
import type { KeyServerSetup, Site } from './key-servers.ts';

export interface Edge {
  readonly keys: KeyServers;
  /** Codes of the server's `tlsClientError`, in their order. */
  readonly errors: string[];
  /** One full handshake. @returns `ok`, or the code of the client's error */
  visit(options?: tls.ConnectionOptions): Promise<string>;
  /** So many at once. @returns how often each outcome was */
  visits(count: number): Promise<Readonly<Record<string, number>>>;
  close(): Promise<void>;
}

export interface EdgeOptions extends Partial<KeyServersOptions> {
  /** Of the TLS server. */
  readonly server?: tls.TlsOptions;
}

function visit(port: number, ca: string, options: tls.ConnectionOptions): Promise<string> {
  return new Promise((resolve) => {
    const socket = tls.connect({ port, host: '127.0.0.1', servername: 'localhost', ca, ...options });
    // What the server says comes after its side of the handshake is over, too.
    socket.on('data', () => resolve('ok'));
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.on('close', () => resolve('closed'));
  });
}

/** @param servers addresses of key servers; `undefined`: the options say it otherwise */
export async function startEdge(
  setup: KeyServerSetup,
  site: Site,
  servers: readonly string[] | undefined,
  { server: tlsOptions, ...options }: EdgeOptions = {},
): Promise<Edge> {
  const keys = connectKeyServers({ servers, ...setup.edgeOptions, ...options });
  const errors: string[] = [];
  const server = keyless.createServer({ cert: site.certPem, key: keys, ...tlsOptions }, (socket) => {
    socket.on('error', () => undefined);
    socket.end('welcome');
  });
  server.on('tlsClientError', (error: NodeJS.ErrnoException) => errors.push(error.code ?? error.message));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const one = (visitOptions: tls.ConnectionOptions = {}) =>
    visit(port, setup.authority.certPem, visitOptions);
  return {
    keys,
    errors,
    visit: one,
    async visits(count) {
      const outcomes: Record<string, number> = {};
      const all = await Promise.all(Array.from({ length: count }, () => one()));
      for (const outcome of all) outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
      return outcomes;
    },
    close() {
      keys.close();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

/** Below the runner's time-out, which does not say what was waited for. */
const UNTIL_MS = 60_000;

/** @returns when it holds: looked at every other millisecond @throws after a minute, with the condition */
export async function until(condition: () => boolean): Promise<void> {
  const since = performance.now();
  while (!condition()) {
    if (performance.now() - since > UNTIL_MS) assert.fail(`Not so after a minute: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

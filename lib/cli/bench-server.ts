/** The server that `keyless-tls bench` measures: a process of its own, driven by messages. */

import type { AddressInfo } from 'node:net';
import tls from 'node:tls';
import { connectKeyServers, createServer, type KeyServers } from '../index.ts';

/** Where the site's key is. */
export type BenchMode = 'native' | 'remote';

export interface ServerPlan {
  readonly mode: BenchMode;
  readonly cert: string;
  /** Of the native server. */
  readonly key: string | undefined;
  /** Milliseconds of CPU to waste for each handshake. */
  readonly burnMs?: number | undefined;
  readonly keyServer: {
    readonly port: number;
    readonly cert: string;
    readonly key: string;
    readonly ca: string;
  };
}

/** What the process says: its port once, then its figures whenever it is asked. */
export interface ServerFigures {
  readonly cpuMs: number;
  /** Answers of the key server; 0: native. */
  readonly operations: number;
}

function burn(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

function serve({ mode, cert, key, keyServer, burnMs = 0 }: ServerPlan): void {
  let keys: KeyServers | undefined;
  const { port, ...credentials } = keyServer;
  if (mode === 'remote') keys = connectKeyServers({ servers: [`127.0.0.1:${port}`], ...credentials });
  const onSocket = (socket: tls.TLSSocket) => {
    socket.on('error', () => undefined);
    if (burnMs > 0) burn(burnMs);
    // Ending here, in the handler, would suppress TLS 1.3's tickets, which a server sends in real life.
    socket.on('data', () => socket.end('y'));
  };
  const server =
    keys === undefined
      ? tls.createServer({ cert, key }, onSocket)
      : createServer({ cert, key: keys }, onSocket);
  const listen = () => {
    server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }));
  };
  if (keys === undefined) listen();
  else keys.ready().then(listen);
  process.on('message', () => {
    const { user, system } = process.cpuUsage();
    const figures: ServerFigures = {
      cpuMs: (user + system) / 1000,
      operations: keys?.stats().succeeded ?? 0,
    };
    process.send?.(figures);
  });
}

process.once('message', (plan) => serve(plan as ServerPlan));
process.on('disconnect', () => process.exit());

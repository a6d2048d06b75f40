/**
 * An edge in a process of its own, which its parent limits (prlimit): told certificates and a key server, it says its port,
 * and then its key servers' state whenever it is asked.
 */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connectKeyServers, type KeyServersOptions } from '../../lib/keys/key-servers.ts';
import { createServer } from '../../lib/tls.ts';

export interface LimitedEdgePlan {
  readonly options: KeyServersOptions;
  readonly certPem: string;
}

export interface LimitedEdgeState {
  readonly ready: number;
  readonly failures: number;
}

const [plan] = (await once(process, 'message')) as [LimitedEdgePlan];
const keys = connectKeyServers(plan.options);
await keys.ready();
const server = createServer({ cert: plan.certPem, key: keys }, (socket) => {
  socket.on('error', () => undefined);
  socket.end('welcome');
});
server.on('tlsClientError', (_error, socket) => socket.destroy());
server.listen(0, '127.0.0.1');
await once(server, 'listening');
process.on('message', () => {
  const { ready, failures } = keys.stats().servers[0]!;
  process.send?.({ ready, failures } satisfies LimitedEdgeState);
});
process.on('disconnect', () => process.exit());
process.send?.((server.address() as AddressInfo).port);

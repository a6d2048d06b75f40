/** A thread that serves with a lease of its own; says its port. */
import { parentPort, workerData } from 'node:worker_threads';
import { createServer, leaseTicketKeys, localKey } from '../../lib/index.ts';
import { listen } from './connections.ts';
import { TicketSource } from './ticket-source.ts';

const { certPem, keyPem } = workerData as { certPem: string; keyPem: string };
const lease = leaseTicketKeys(Object.assign(new TicketSource(), { periodMs: 3_600_000 }));
const server = createServer({ cert: certPem, key: localKey(keyPem) }, (socket) => socket.end('x'));
lease.use(server);
await lease.ready();
parentPort!.postMessage(await listen(server));

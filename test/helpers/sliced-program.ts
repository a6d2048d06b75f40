/**
 * A process of its own for measuring the one that starts it: a key server, and a server of Node's that answers as many bytes
 * and knows nothing of ours, each behind a relay whose slices are as long as the parent says.
 */
import tls from 'node:tls';
import { listen } from './connections.ts';
import { startFaultProxy } from './fault-proxy.ts';
import { makeKeyServers } from './key-servers.ts';

export interface SlicedServers {
  /** Of the key server, by its relay. */
  readonly address: string;
  readonly edgeOptions: { readonly cert: string; readonly key: string; readonly ca: string };
  /** 40 hexadecimal digits. */
  readonly keyId: string;
  /** Of the other server, by its relay. */
  readonly barePort: number;
}

/** What an answer of a key server is long, and so are those of the other server. */
const ANSWER_BYTES = 1024;

const setup = await makeKeyServers(['p256']);
const keyServer = await setup.start();
const bare = tls.createServer(
  { cert: setup.server.certPem, key: setup.server.keyPem, minVersion: 'TLSv1.3' },
  (socket) => {
    socket.setNoDelay(true);
    socket.on('data', () => socket.write(Buffer.alloc(ANSWER_BYTES)));
  },
);
const proxies = [await startFaultProxy(keyServer.port), await startFaultProxy(await listen(bare))] as const;
process.on('message', (sliceBytes: number | null) => {
  for (const { faults } of proxies) faults.sliceBytes = sliceBytes ?? Number.POSITIVE_INFINITY;
  process.send!('done');
});
process.on('disconnect', () => process.exit());
const servers: SlicedServers = {
  address: proxies[0].address,
  edgeOptions: setup.edgeOptions,
  keyId: setup.sites.p256!.keyId.toString('hex'),
  barePort: proxies[1].port,
};
process.send!(servers);

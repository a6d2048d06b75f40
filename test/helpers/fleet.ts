/** A fleet as an operator has it: key servers as processes with one policy and one ticket secret, edges with leases. */
import { X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import type { Server } from 'node:tls';
import {
  connectKeyServers,
  createServer,
  type KeyServers,
  leaseTicketKeys,
  type TicketLease,
} from '../../lib/index.ts';
import { identityOf } from '../../lib/server/peer-identity.ts';
import type { Issued } from './certificates.ts';
import { close, listen } from './connections.ts';
import { type KeyServerSetup, makeKeyServers } from './key-servers.ts';
import { lastingPort } from './lasting-port.ts';
import { type ServeFiles, ServeProcess, serveFiles } from './serve-process.ts';

export interface FleetEdge {
  readonly certificate: Issued;
  readonly keys: KeyServers;
  readonly lease: TicketLease;
  readonly server: Server;
  readonly port: number;
}

export interface Fleet {
  readonly setup: KeyServerSetup;
  readonly files: ServeFiles;
  readonly policy: string;
  readonly keyServers: readonly ServeProcess[];
  /** Ends one by SIGTERM and starts it again at its address, with what its files say then. */
  restart(at: number): Promise<void>;
  readonly addresses: readonly string[];
  /** The certificates of its edges, which `edges` uses in this order. */
  readonly certificates: readonly Issued[];
  /** Edges in this process, with their keys leased. @param servers where they look for key servers; default {@link addresses} */
  edges(servers?: readonly string[]): Promise<FleetEdge[]>;
  close(): Promise<void>;
}

function policyOf(certificates: readonly Issued[]): string {
  const clients = certificates.map(({ certPem }, at) => ({
    name: `edge-${at}`,
    identities: [identityOf(new X509Certificate(certPem)).pin],
    tickets: { group: 'edges' },
  }));
  return JSON.stringify({ version: 1, clients });
}

/** @param options of `keyless-tls serve` */
export async function makeFleet(
  edges: number,
  keyServers: number,
  options: readonly string[] = [],
): Promise<Fleet> {
  const setup = await makeKeyServers(['p256']);
  const certificates = await Promise.all(
    Array.from({ length: edges }, (_, at) =>
      setup.authority.issue({ type: 'p256', usage: 'client', cn: `edge ${at}` }),
    ),
  );
  const files = serveFiles(setup);
  const policy = files.path('policy.json');
  writeFileSync(policy, policyOf(certificates));
  writeFileSync(files.path('ticket.secret'), 'a secret for tests, of some length', { mode: 0o600 });
  const args = [
    ...files.args,
    '--policy',
    policy,
    '--ticket-secret',
    files.path('ticket.secret'),
    ...options,
  ];
  const ports = await Promise.all(Array.from({ length: keyServers }, lastingPort));
  const addresses = ports.map((port) => `127.0.0.1:${port}`);
  const processes = addresses.map((address) => new ServeProcess([...args, '--listen', address]));
  await Promise.all(processes.map((serve) => serve.port()));
  const running: FleetEdge[] = [];

  const openEdge = async (certificate: Issued, servers: readonly string[]): Promise<FleetEdge> => {
    const keys = connectKeyServers({
      servers,
      cert: certificate.certPem,
      key: certificate.keyPem,
      ca: setup.authority.certPem,
      // That the first attempts take long on a busy machine does not mean that nobody is there.
      connectTimeoutMs: 30_000,
    });
    const server = createServer({ cert: setup.sites.p256!.certPem, key: keys }, (socket) => socket.end('x'));
    server.on('tlsClientError', () => undefined);
    const lease = leaseTicketKeys(keys);
    lease.use(server);
    await lease.ready();
    return { certificate, keys, lease, server, port: await listen(server) };
  };

  return {
    setup,
    files,
    policy,
    keyServers: processes,
    async restart(at) {
      processes[at]!.child.kill('SIGTERM');
      await processes[at]!.ended;
      processes[at] = new ServeProcess([...args, '--listen', addresses[at]!]);
      await processes[at]!.port();
    },
    addresses,
    certificates,
    async edges(servers = addresses) {
      const opened = await Promise.all(certificates.map((each) => openEdge(each, servers)));
      running.push(...opened);
      return opened;
    },
    async close() {
      for (const { lease, keys } of running) {
        lease.close();
        keys.close();
      }
      await Promise.all(running.map(({ server }) => close(server)));
      for (const serve of processes) serve.child.kill('SIGKILL');
      await Promise.all(processes.map((serve) => serve.ended));
      files.remove();
    },
  };
}

/**
 * Key servers in this process for the parity harness: every operation goes over mutual TLS and back.
 *
 * Operations of servers go to a key server that signs what it can recognise and nothing else; so the whole matrix also
 * shows that it recognises every handshake. A TLS 1.2 client's message cannot be recognised (RFC 5246 §7.4.8), so
 * operations of clients go to a second one.
 */
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { connectKeyServers, type KeyServers } from '../../lib/keys/key-servers.ts';
import type { PrivateKey } from '../../lib/keys/private-key.ts';
import { subjectKeyId } from '../../lib/protocol/key-id.ts';
import { createKeyServer, type KeyServer } from '../../lib/server/key-server.ts';
import type { StoredKey } from '../../lib/server/key-store.ts';
import { pemKey } from '../../lib/server/pem-key.ts';
import type { PolicyOptions } from '../../lib/server/policy.ts';
import { makeAuthority } from './certificates.ts';

const FOR_SERVERS: PolicyOptions = { allowDecrypt: 'every-key', allowLegacyHashes: true };
const FOR_CLIENTS: PolicyOptions = { contexts: ['tls13-client', 'tls12-client'], allowLegacyHashes: true };

interface Running {
  readonly servers: readonly KeyServer[];
  readonly forServers: KeyServers;
  readonly forClients: KeyServers;
}

const stored = new Map<string, StoredKey>();

const keys = {
  find: ({ keyId }: { keyId?: Uint8Array | undefined }) =>
    keyId && stored.get(Buffer.from(keyId).toString('hex')),
};

async function start(): Promise<Running> {
  const authority = await makeAuthority('Key servers');
  const own = await authority.issue({ type: 'p256', usage: 'server' });
  const edge = await authority.issue({ type: 'p256', usage: 'client', cn: 'edge' });
  const ca = authority.certPem;
  const servers: KeyServer[] = [];
  const open = async (policy: PolicyOptions) => {
    const server = createKeyServer({ ...policy, cert: own.certPem, key: own.keyPem, ca, keys });
    servers.push(server);
    const { port } = await server.listen(0);
    const address = `127.0.0.1:${port}`;
    const connected = connectKeyServers({ servers: [address], cert: edge.certPem, key: edge.keyPem, ca });
    await connected.ready();
    return connected;
  };
  return { servers, forServers: await open(FOR_SERVERS), forClients: await open(FOR_CLIENTS) };
}

let running: Promise<Running> | undefined;

/** Puts a key on the key servers. */
export function storeKey(keyPem: string): void {
  const spki = createPublicKey(createPrivateKey(keyPem)).export({ type: 'spki', format: 'der' });
  const name = subjectKeyId(spki).toString('hex');
  if (!stored.has(name)) stored.set(name, pemKey(keyPem, 'a test'));
}

/**
 * The one PrivateKey for all that {@link storeKey} has stored, now and later. The first call in a process starts the
 * key servers.
 *
 * @param onOperation is called before each operation
 */
export async function keyOnServers(onOperation: () => void): Promise<PrivateKey> {
  running ??= start();
  const { forServers, forClients } = await running;
  return {
    sign(operation) {
      onOperation();
      return (operation.role === 'server' ? forServers : forClients).sign(operation);
    },
    decrypt(operation) {
      onOperation();
      return forServers.decrypt!(operation);
    },
  };
}

/** Ends the key servers, if there are any. */
export async function closeKeyServers(): Promise<void> {
  if (running === undefined) return;
  const { servers, forServers, forClients } = await running;
  running = undefined;
  forServers.close();
  forClients.close();
  await Promise.all(servers.map((server) => server.close()));
}

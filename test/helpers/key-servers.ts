/**
 * A key server in this process with a key of each kind, and an edge's credentials for it. Made once in each test
 * file: RSA keys take their time.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { subjectKeyId } from '../../lib/protocol/key-id.ts';
import { createKeyServer, type KeyServer, type KeyServerOptions } from '../../lib/server/key-server.ts';
import { keyStoreOf } from '../../lib/server/pem-directory.ts';
import { pemKey } from '../../lib/server/pem-key.ts';
import { type Authority, type Issued, KEY_KINDS, type KeyKind, makeAuthority } from './certificates.ts';
import { lastingPort } from './lasting-port.ts';

/** A certificate of a site, whose key is on the key server. */
export interface Site extends Issued {
  readonly keyId: Buffer;
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

export interface KeyServerSetup {
  readonly authority: Authority;
  readonly server: Issued;
  readonly edge: Issued;
  readonly sites: Readonly<Record<string, Site>>;
  /** Options of connectKeyServers, but for the servers. */
  readonly edgeOptions: { readonly cert: string; readonly key: string; readonly ca: string };
  /** A listening key server that holds the keys of all sites. */
  start(options?: Partial<KeyServerOptions>): Promise<KeyServer & { readonly port: number }>;
  /** Ends all that it has started. */
  close(): Promise<void>;
}

function siteOf(issued: Issued): Site {
  const { publicKey } = new X509Certificate(issued.certPem);
  const keyId = subjectKeyId(publicKey.export({ type: 'spki', format: 'der' }));
  return { ...issued, keyId, publicKey, privateKey: createPrivateKey(issued.keyPem) };
}

/** @param kinds of the sites' keys; default each kind */
export async function makeKeyServers(kinds: readonly KeyKind[] = KEY_KINDS): Promise<KeyServerSetup> {
  const authority = await makeAuthority();
  const [server, edge, ...issued] = await Promise.all([
    authority.issue({ type: 'p256', usage: 'server' }),
    authority.issue({ type: 'p256', usage: 'client', cn: 'edge 1' }),
    ...kinds.map((type) => authority.issue({ type })),
  ]);
  const sites = Object.fromEntries(issued.map((site, at) => [kinds[at]!, siteOf(site)]));
  const keys = keyStoreOf(Object.entries(sites).map(([kind, { keyPem }]) => pemKey(keyPem, kind)));
  const started: KeyServer[] = [];
  return {
    authority,
    server: server!,
    edge: edge!,
    sites,
    edgeOptions: { cert: edge!.certPem, key: edge!.keyPem, ca: authority.certPem },
    async start(options = {}) {
      const cert = { cert: server!.certPem, key: server!.keyPem, ca: authority.certPem };
      const keyServer = createKeyServer({ ...cert, keys, ...options });
      started.push(keyServer);
      const { port }: AddressInfo = await keyServer.listen(await lastingPort());
      return Object.assign(keyServer, { port });
    },
    async close() {
      await Promise.all(started.map((each) => each.close()));
    },
  };
}

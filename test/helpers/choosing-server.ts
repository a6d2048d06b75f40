/**
 * A process whose SNICallback chooses a context, and exchanges the certificate by setKeyCert() beside: `node choosing-server.js
 * native|sync|delayed`. It tells which certificate each client got, as JSON.
 */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import nodeTls, { type SecureContext, type SecureVersion, type TLSSocket, type TlsOptions } from 'node:tls';
import { type Issued, makeAuthority } from './certificates.ts';
import { close } from './connections.ts';
import { keyOf, tls } from './process-side.ts';

const authority = await makeAuthority();
const [first, second, third] = await Promise.all([
  authority.issue({ type: 'rsa', cn: 'first' }),
  authority.issue({ type: 'rsa', cn: 'second' }),
  authority.issue({ type: 'rsa', cn: 'third' }),
]);

/** Whose key it is. */
const OWNERS: Readonly<Record<string, (issued: Issued) => { cert: string; key: string }>> = {
  Node: ({ certPem, keyPem }) => ({ cert: certPem, key: keyPem }),
  ours: (issued) => ({ cert: issued.certPem, key: keyOf(issued) }),
};

const MAKERS: Readonly<Record<string, typeof nodeTls>> = { Node: nodeTls, ours: tls };
const contextOf = (owner: string, issued: Issued): SecureContext =>
  MAKERS[owner]!.createSecureContext(OWNERS[owner]!(issued));

type Done = () => void;

/** What comes when; `choose` calls back, `exchange` is setKeyCert. */
const ORDERS: Readonly<Record<string, (choose: Done, exchange: Done) => void>> = {
  'before the choice': (choose, exchange) => {
    exchange();
    choose();
  },
  'after the choice': (choose, exchange) => {
    choose();
    exchange();
  },
  'in a tick after the choice': (choose, exchange) => {
    choose();
    process.nextTick(exchange);
  },
  'before a choice in a later turn': (choose, exchange) =>
    setImmediate(() => {
      exchange();
      choose();
    }),
};

interface Visit {
  readonly maxVersion: SecureVersion;
  /** Of the server's own key. */
  readonly owner: string;
  readonly chosen: SecureContext | null;
  readonly given: SecureContext;
  readonly order: string;
}

/** @returns what setKeyCert() threw, and whose certificate the client got */
async function visit({ maxVersion, owner, chosen, given, order }: Visit): Promise<unknown[]> {
  const told: unknown[] = [];
  const SNICallback = function (
    this: TLSSocket,
    _name: string,
    done: (error: null, context: unknown) => void,
  ) {
    const exchange = () => {
      try {
        this.setKeyCert(given);
      } catch (error) {
        told.push((error as NodeJS.ErrnoException).code);
      }
    };
    ORDERS[order]!(() => done(null, chosen), exchange);
  } as TlsOptions['SNICallback'];
  const server = MAKERS[owner]!.createServer({ ...OWNERS[owner]!(first), maxVersion, SNICallback });
  server.on('tlsClientError', ({ code }: NodeJS.ErrnoException) => told.push(code));
  server.on('secureConnection', (socket) => socket.on('error', () => {}).end());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const client = nodeTls.connect({ port, host: '127.0.0.1', servername: 'localhost', ca: authority.certPem });
  client.on('secureConnect', () => told.push(client.getPeerCertificate().subject.CN)).resume();
  client.on('error', ({ code }: NodeJS.ErrnoException) => told.push(code));
  await new Promise((resolve) => client.on('close', resolve));
  await close(server);
  return told;
}

const stories: Record<string, unknown[]> = {};
const owners = Object.keys(OWNERS);

for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
  for (const owner of owners) {
    for (const ofChosen of ['none', ...owners]) {
      for (const ofGiven of owners) {
        const chosen = ofChosen === 'none' ? null : contextOf(ofChosen, second);
        const given = contextOf(ofGiven, third);
        for (const order of Object.keys(ORDERS)) {
          const name = `setKeyCert ${order}, ${maxVersion}, own: ${owner}, chosen: ${ofChosen}, given: ${ofGiven}`;
          stories[name] = await visit({ maxVersion, owner, chosen, given, order });
        }
      }
    }
  }
}

process.stdout.write(JSON.stringify(stories));

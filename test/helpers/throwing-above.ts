/**
 * A process with a TLS server over something else than a connection, with handlers that throw, and which goes on: `node throwing-above.js
 * native|sync|delayed`. It tells what was uncaught and whether it served, as JSON. RSA key exchange: all handlers are called when the key
 * has answered.
 */
import { constants } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import nodeTls, { type Server } from 'node:tls';
import { makeAuthority } from './certificates.ts';
import { duplexPair } from './duplex-pair.ts';
import { keyOf, tls } from './process-side.ts';

const authority = await makeAuthority();
const issued = await authority.issue({ type: 'rsa' });
const { certPem: ca } = authority;
const around = nodeTls.createServer({ cert: issued.certPem, key: issued.keyPem });
await once(around.listen(0, '127.0.0.1'), 'listening');
const { port } = around.address() as AddressInfo;

/** @returns what is below either end: the server's, the client's */
const BELOW: Readonly<Record<string, () => Promise<[Duplex, Duplex]>>> = {
  'a stream': async () => duplexPair(),
  TLS: async () => {
    const connected = once(around, 'secureConnection');
    const theirs = nodeTls.connect({ port, host: '127.0.0.1', servername: 'localhost', ca });
    const [ours] = (await connected) as [Duplex];
    return [ours, theirs];
  },
};

interface Story {
  readonly uncaught: readonly string[];
  /** The `secureConnection` listeners were called. */
  readonly served: boolean;
}

function listen(server: Server, event: string): void {
  server.on(event, (...values: unknown[]) => {
    // A `newSession` listener's: Node waits for it.
    const stored = values.at(-1);
    if (typeof stored === 'function') stored();
    throw new Error(`thrown by ${event}`);
  });
}

async function visit(below: keyof typeof BELOW, event: string): Promise<Story> {
  const uncaught: string[] = [];
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', ({ message }) => uncaught.push(message));
  const server = tls.createServer({
    cert: issued.certPem,
    key: keyOf(issued),
    maxVersion: 'TLSv1.2',
    ciphers: 'AES128-GCM-SHA256',
    secureOptions: constants.SSL_OP_NO_TICKET,
  });
  listen(server, event);
  let served = false;
  server.prependListener('secureConnection', () => {
    served = true;
  });
  const [ours, theirs] = await BELOW[below]!();
  server.emit('connection', ours);
  const client = nodeTls.connect({ socket: theirs, ca, servername: 'localhost' });
  await once(client, 'secureConnect');
  client.destroy();
  theirs.destroy();
  // What is uncaught is told by then.
  await new Promise(setImmediate);
  return { uncaught, served };
}

const told: Record<string, Story> = {};
for (const below of Object.keys(BELOW)) {
  for (const event of ['secureConnection', 'keylog', 'newSession'])
    told[`${event} above ${below}`] = await visit(below, event);
}
around.close();
process.stdout.write(JSON.stringify(told));

/**
 * A process with a TLS server whose handlers put off two ticks each that throw, and which goes on: `node throwing-ticks-server.js
 * native|sync|delayed`. Node leaves the second of them to whatever is called next. It tells how many of several clients were
 * served, as JSON.
 */
import { constants } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import nodeTls, { type SecureVersion, type Server, type TLSSocket, type TlsOptions } from 'node:tls';
import { makeAuthority } from './certificates.ts';
import { closed } from './closed.ts';
import { close } from './connections.ts';
import { keyOf, tls } from './process-side.ts';

const CLIENTS = 5;

const authority = await makeAuthority();
const issued = await authority.issue({ type: 'rsa' });

let uncaught = 0;
process.on('uncaughtException', () => {
  uncaught += 1;
});

function putOff(): void {
  for (let ticks = 0; ticks < 2; ticks += 1) {
    process.nextTick(() => {
      throw new Error('thrown on purpose');
    });
  }
}

const HANDLERS: Readonly<Record<string, (server: Server) => unknown>> = {
  keylog: (server) => server.on('keylog', putOff),
  newSession: (server) =>
    server.on('newSession', (_id, _session, stored) => {
      putOff();
      stored();
    }),
  secureConnection: (server) => server.on('secureConnection', putOff),
};

/** @returns what it heard */
async function visit(port: number, maxVersion: SecureVersion): Promise<string> {
  const client = nodeTls.connect({ port, host: '127.0.0.1', ca: authority.certPem, maxVersion });
  client.setEncoding('utf8');
  // A second is enough for any of them, and nobody waits for one that is forgotten.
  client.setTimeout(5000, () => client.destroy());
  let heard = '';
  client.on('data', (text) => {
    heard += text;
  });
  await closed(client);
  return heard;
}

async function serve(handler: (server: Server) => unknown, options: TlsOptions, version: SecureVersion) {
  const server = tls.createServer(options, (socket: TLSSocket) => {
    socket.on('error', () => undefined);
    socket.end('hello');
  });
  handler(server);
  const failures: unknown[] = [];
  server.on('tlsClientError', ({ code }: NodeJS.ErrnoException) => failures.push(code));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  uncaught = 0;
  const heard = await Promise.all(Array.from({ length: CLIENTS }, () => visit(port, version)));
  await close(server);
  return { heard, uncaught, failures };
}

const own = { cert: issued.certPem, key: keyOf(issued) };
const EXCHANGES: Readonly<Record<string, readonly [SecureVersion, TlsOptions]>> = {
  'TLS 1.3': ['TLSv1.3', own],
  'TLS 1.2': ['TLSv1.2', { ...own, secureOptions: constants.SSL_OP_NO_TICKET }],
  'RSA key exchange': [
    'TLSv1.2',
    { ...own, secureOptions: constants.SSL_OP_NO_TICKET, ciphers: 'AES128-GCM-SHA256' },
  ],
};
const told: Record<string, unknown> = {};
for (const [name, handler] of Object.entries(HANDLERS)) {
  for (const [exchange, [version, options]] of Object.entries(EXCHANGES))
    told[`${name} with ${exchange}`] = await serve(handler, options, version);
}
process.stdout.write(JSON.stringify(told));

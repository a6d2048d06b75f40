/** What handlers put off, in ticks and in microtasks, is done in the order that it is natively. */
import { before } from 'node:test';
import type { SecureVersion, TLSSocket } from 'node:tls';
import { type Authority, type Issued, makeAuthority } from '../helpers/certificates.ts';
import { close, listen } from '../helpers/connections.ts';
import { parity, type Side } from '../helpers/parity.ts';

let authority: Authority;
let issued: Issued;

before(async () => {
  authority = await makeAuthority();
  issued = await authority.issue({ type: 'p256' });
});

/** TLS 1.3's lines of the keylog are told in one go: docs/compatibility.md. */
const withKeylog = (version: SecureVersion) => version === 'TLSv1.2';
const EVENTS = ['secureConnect', 'session', 'data', 'end'] as const;

/** @returns what one end's handlers did and put off */
async function order(side: Side, version: SecureVersion, told: 'client' | 'server'): Promise<string[]> {
  const log: string[] = [];
  const mark = (end: typeof told, name: string) => {
    if (end !== told) return;
    log.push(name);
    process.nextTick(() => log.push(`${name}: tick`));
    queueMicrotask(() => log.push(`${name}: microtask`));
  };
  const identity = { cert: issued.certPem, key: side.key(issued) };
  const server = side.tls.createServer({ ...identity, ca: authority.certPem, requestCert: true });
  if (withKeylog(version)) server.on('keylog', () => mark('server', 'keylog'));
  const served = new Promise<void>((resolve) => {
    server.on('secureConnection', (socket: TLSSocket) => {
      mark('server', 'secureConnection');
      socket.on('data', () => {
        mark('server', 'data');
        socket.end('pong');
      });
      socket.on('close', () => resolve());
    });
  });
  const port = await listen(server);
  const to = { port, host: '127.0.0.1', servername: 'localhost', ca: authority.certPem };
  const client = side.tls.connect({ ...to, ...identity, minVersion: version, maxVersion: version });
  if (withKeylog(version)) client.on('keylog', () => mark('client', 'keylog'));
  for (const event of EVENTS) client.on(event, () => mark('client', event));
  client.on('secureConnect', () => client.write('ping'));
  await Promise.all([served, new Promise((resolve) => client.on('close', resolve))]);
  await close(server);
  return log;
}

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  for (const told of ['client', 'server'] as const) {
    parity(`${version}: handlers of a ${told} whose peer has a keyless key as well`, (side) =>
      order(side, version, told),
    );
  }
}

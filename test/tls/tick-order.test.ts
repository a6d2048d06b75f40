/**
 * What handlers put off, in ticks and in microtasks, is done in the order that it is natively, and what they write leaves in as many
 * pieces: Node is told of a handshake as libuv tells it, with nothing of JavaScript below.
 */
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { before } from 'node:test';
import type { ConnectionOptions, TLSSocket, TlsOptions } from 'node:tls';
import { type Authority, type Issued, makeAuthority } from '../helpers/certificates.ts';
import { close, listen } from '../helpers/connections.ts';
import { parity, type Side } from '../helpers/parity.ts';

let authority: Authority;
let issued: Issued;
let rsa: Issued;

before(async () => {
  authority = await makeAuthority();
  [issued, rsa] = await Promise.all([authority.issue({ type: 'p256' }), authority.issue({ type: 'rsa' })]);
});

interface Case {
  /** Whose handlers are looked at. */
  readonly told: 'client' | 'server';
  readonly server?: TlsOptions;
  readonly client?: ConnectionOptions;
  /** With a session the first half of a TLS 1.3 handshake natively comes within JavaScript of Node's. */
  readonly storesSessions?: boolean;
}

const EVENTS = ['keylog', 'secureConnect', 'session', 'data', 'end', 'close'] as const;

/** @returns what one end's handlers did and put off */
async function order(side: Side, identity: Issued, { told, ...options }: Case): Promise<string[]> {
  const log: string[] = [];
  const mark = (end: Case['told'], name: string) => {
    if (end !== told) return;
    log.push(name);
    process.nextTick(() => log.push(`${name}: tick`));
    queueMicrotask(() => log.push(`${name}: microtask`));
  };
  const own = { cert: identity.certPem, key: side.key(identity) };
  const server = side.tls.createServer({ ...own, ca: authority.certPem, ...options.server });
  server.on('keylog', () => mark('server', 'keylog'));
  if (options.storesSessions) {
    server.on('newSession', (_id, _session, stored) => {
      mark('server', 'newSession');
      stored();
    });
  }
  const served = new Promise<void>((resolve) => {
    server.on('secureConnection', (socket: TLSSocket) => {
      mark('server', 'secureConnection');
      socket.on('data', () => {
        mark('server', 'data');
        socket.end('pong');
      });
      socket.on('close', () => {
        mark('server', 'close');
        resolve();
      });
    });
  });
  const port = await listen(server);
  const to = { port, host: '127.0.0.1', servername: 'localhost', ca: authority.certPem };
  const client = side.tls.connect({ ...to, ...options.client });
  for (const event of EVENTS) client.on(event, () => mark('client', event));
  client.on('secureConnect', () => client.write('ping'));
  await Promise.all([served, new Promise((resolve) => client.on('close', resolve))]);
  await close(server);
  return log;
}

const onlyKeyExchange = { maxVersion: 'TLSv1.2', ciphers: 'AES128-SHA' } as const;

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  const of = { minVersion: version, maxVersion: version };
  for (const told of ['client', 'server'] as const) {
    parity(`${version}: handlers of a ${told} whose peer has a keyless key as well`, (side) => {
      const client = { cert: issued.certPem, key: side.key(issued), ...of };
      return order(side, issued, { told, server: { requestCert: true }, client });
    });
  }
  for (const storesSessions of [false, true]) {
    const which = storesSessions ? ' that stores sessions' : '';
    parity(`${version}: handlers of a server${which}`, (side) =>
      order(side, issued, { told: 'server', client: of, storesSessions }),
    );
  }
}

for (const told of ['client', 'server'] as const) {
  parity(`RSA key exchange: handlers of a ${told}`, (side) =>
    order(side, rsa, { told, server: onlyKeyExchange, storesSessions: told === 'server' }),
  );
}

/** @returns the kinds of records that either end sends at once */
async function pieces(
  side: Side,
  identity: Issued,
  own: TlsOptions,
  clients: ConnectionOptions,
): Promise<unknown> {
  const seen: string[] = [];
  const options = { cert: identity.certPem, key: side.key(identity), ca: authority.certPem, ...own };
  const server = side.tls.createServer(options, (socket) => {
    socket.write('a');
    socket.end('b');
    socket.resume();
  });
  const port = await listen(server);
  const pass = (name: string, from: net.Socket, to: net.Socket) => {
    from.on('data', (data: Buffer) => {
      seen.push(`${name}: ${recordTypes(data)}`);
      to.write(data);
    });
    from.on('end', () => to.end());
  };
  const between = net.createServer((left) => {
    const right = net.connect(port, '127.0.0.1');
    pass('client', left, right);
    pass('server', right, left);
  });
  between.listen(0, '127.0.0.1');
  await once(between, 'listening');
  const to = { port: (between.address() as AddressInfo).port, host: '127.0.0.1', servername: 'localhost' };
  const client = side.tls.connect({ ...to, ca: authority.certPem, ...clients });
  client.resume().write('early');
  client.on('secureConnect', () => client.end('late'));
  await once(client, 'close');
  between.close();
  await close(server);
  return seen;
}

/** @returns the content types of whole records (RFC 8446 §5.1) */
function recordTypes(data: Buffer): string {
  const types: number[] = [];
  for (let at = 0; at + 5 <= data.length; at += 5 + data.readUInt16BE(at + 3)) types.push(data.readUInt8(at));
  return types.join(' ');
}

parity('what is written in secureConnection leaves with the end of the handshake, RSA key exchange', (side) =>
  pieces(side, rsa, onlyKeyExchange, {}),
);

parity('what is written in secureConnect leaves with the end of the handshake, client certificate', (side) =>
  pieces(side, issued, { requestCert: true }, { cert: issued.certPem, key: side.key(issued) }),
);

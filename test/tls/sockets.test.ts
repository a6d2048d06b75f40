/** TLSSockets made by hand, streams that are not sockets, and ends that come early. */
import { once } from 'node:events';
import type https from 'node:https';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before } from 'node:test';
import tls, { type TLSSocket } from 'node:tls';
import { type Authority, type Issued, makeAuthority } from '../helpers/certificates.ts';
import { close, converse, describeError, describeSocket, listen } from '../helpers/connections.ts';
import { duplexPair } from '../helpers/duplex-pair.ts';
import { parity, type Side } from '../helpers/parity.ts';

let authority: Authority;
let rsa: Issued;
let p256: Issued;

before(async () => {
  authority = await makeAuthority();
  rsa = await authority.issue({ type: 'rsa' });
  p256 = await authority.issue({ type: 'p256' });
});

function serverContext(side: Side, issued: Issued): tls.SecureContext {
  return side.tls.createSecureContext({ cert: issued.certPem, key: side.key(issued), ca: authority.certPem });
}

async function chat(server: TLSSocket, client: TLSSocket): Promise<unknown[]> {
  const log: unknown[] = [];
  server.on('secure', () => log.push('secure', describeSocket(server)));
  server.on('data', (data) => {
    log.push(String(data));
    server.end('pong');
  });
  client.on('secureConnect', () => client.write('ping'));
  client.on('data', (data) => log.push(String(data)));
  for (const [name, socket] of [
    ['server', server],
    ['client', client],
  ] as const) {
    socket.on('error', (error) => log.push(name, describeError(error)));
  }
  await once(client, 'end');
  client.destroy();
  server.destroy();
  return log;
}

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  parity(
    `new tls.TLSSocket on accepted sockets, ${version}`,
    async (side) => {
      const secureContext = serverContext(side, rsa);
      const raw = net.createServer().listen(0, '127.0.0.1');
      await once(raw, 'listening');
      const accepted = once(raw, 'connection');
      const client = side.tls.connect({
        port: (raw.address() as net.AddressInfo).port,
        host: '127.0.0.1',
        servername: 'localhost',
        ca: authority.certPem,
        maxVersion: version,
      });
      const [socket] = (await accepted) as [net.Socket];
      const log = await chat(new tls.TLSSocket(socket, { isServer: true, secureContext }), client);
      raw.close();
      return log;
    },
    1,
  );

  parity(
    `streams in JavaScript under TLS, both ends keyless, ${version}`,
    async (side) => {
      const [one, two] = duplexPair();
      const server = new tls.TLSSocket(one, {
        isServer: true,
        secureContext: serverContext(side, rsa),
        requestCert: true,
        rejectUnauthorized: false,
      });
      const client = side.tls.connect({
        socket: two,
        servername: 'localhost',
        ca: authority.certPem,
        maxVersion: version,
        cert: p256.certPem,
        key: side.key(p256),
      });
      return chat(server, client);
    },
    2,
  );

  parity(
    `TLS inside TLS, ${version}`,
    async (side) => {
      const outer = side.tls.createServer({ cert: rsa.certPem, key: side.key(rsa), maxVersion: version });
      const inner = serverContext(side, p256);
      const accepted = once(outer, 'secureConnection');
      const port = await listen(outer);
      const tunnel = side.tls.connect({
        port,
        host: '127.0.0.1',
        servername: 'localhost',
        ca: authority.certPem,
      });
      const [socket] = (await accepted) as [TLSSocket];
      const server = new tls.TLSSocket(socket, { isServer: true, secureContext: inner });
      const log = await chat(
        server,
        side.tls.connect({ socket: tunnel, servername: 'localhost', ca: authority.certPem }),
      );
      await close(outer);
      return log;
    },
    2,
  );

  parity(
    `a Unix socket, ${version}`,
    async (side) => {
      const path = join(tmpdir(), `keyless-tls-${process.pid}-${side.mode}-${version}.sock`);
      const server = side.tls.createServer({ cert: rsa.certPem, key: side.key(rsa), maxVersion: version });
      server.listen(path);
      await once(server, 'listening');
      const story = await converse(side, server, 0, {
        client: { path, port: undefined, ca: authority.certPem } as tls.ConnectionOptions,
      });
      await close(server);
      return story;
    },
    1,
  );

  parity(
    `a client that ends before the handshake, ${version}`,
    async (side) => {
      const server = side.tls.createServer({ cert: rsa.certPem, key: side.key(rsa), maxVersion: version });
      const port = await listen(server);
      const raw = net.connect(port, '127.0.0.1');
      const failed = once(server, 'tlsClientError');
      raw.end(Buffer.from('16030100', 'hex'));
      const [error] = await failed;
      raw.destroy();
      await close(server);
      return describeError(error);
    },
    0,
  );

  parity(
    `garbage instead of a ClientHello, ${version}`,
    async (side) => {
      const server = side.tls.createServer({ cert: rsa.certPem, key: side.key(rsa), maxVersion: version });
      const port = await listen(server);
      const raw = net.connect(port, '127.0.0.1');
      const failed = once(server, 'tlsClientError');
      raw.write('GET / HTTP/1.1\r\n\r\n');
      const [error] = await failed;
      raw.destroy();
      await close(server);
      return describeError(error);
    },
    0,
  );

  parity(
    `a client that writes before and ends, ${version}`,
    async (side) => {
      const server = side.tls.createServer({
        cert: rsa.certPem,
        key: side.key(rsa),
        maxVersion: version,
        allowHalfOpen: true,
      });
      const port = await listen(server);
      const log: unknown[] = [];
      server.on('secureConnection', (socket) => {
        socket.on('data', (data) => log.push(String(data)));
        socket.on('end', () => {
          log.push('end');
          socket.end('late');
        });
      });
      const client = side.tls.connect({
        port,
        host: '127.0.0.1',
        servername: 'localhost',
        ca: authority.certPem,
      });
      client.end('early');
      client.on('data', (data) => log.push(String(data)));
      client.on('error', (error) => log.push(describeError(error)));
      await once(client, 'close');
      await close(server);
      return log;
    },
    1,
  );

  parity(
    `server.close() while handshakes are under way, ${version}`,
    async (side) => {
      const server = side.tls.createServer(
        { cert: rsa.certPem, key: side.key(rsa), maxVersion: version },
        (socket) => socket.end('served'),
      );
      const port = await listen(server);
      const connected = once(server, 'connection');
      const client = side.tls.connect({
        port,
        host: '127.0.0.1',
        servername: 'localhost',
        ca: authority.certPem,
      });
      const log: unknown[] = [];
      client.on('data', (data) => log.push(String(data)));
      client.on('error', (error) => log.push(describeError(error)));
      await connected;
      server.close();
      await Promise.all([once(server, 'close'), once(client, 'close')]);
      return log;
    },
    1,
  );

  parity(
    `a client that ends its side before it has its answer, ${version}`,
    async (side) => {
      const server = side.https.createServer({
        cert: rsa.certPem,
        key: side.key(rsa),
        maxVersion: version,
      } as https.ServerOptions);
      const port = await listen(server);
      const accepted = once(server, 'connection') as Promise<[net.Socket]>;
      const client = side.tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
      const log: unknown[] = [];
      client.on('connect', () => client.end());
      client.on('secureConnect', () => log.push('secureConnect'));
      await new Promise<void>((resolve) => {
        client.on('end', () => resolve(void log.push('end')));
        client.on('error', (error) => resolve(void log.push(describeError(error))));
        client.resume();
      });
      client.destroy();
      (await accepted)[0].destroy();
      await close(server);
      return log;
    },
    1,
  );

  parity(
    `a large body both ways, ${version}`,
    async (side) => {
      const server = side.tls.createServer(
        { cert: p256.certPem, key: side.key(p256), maxVersion: version },
        (socket) => socket.pipe(socket),
      );
      const port = await listen(server);
      const client = side.tls.connect({
        port,
        host: '127.0.0.1',
        servername: 'localhost',
        ca: authority.certPem,
      });
      client.end(Buffer.alloc(3_000_000, 'keyless'));
      let size = 0;
      client.on('data', (data) => (size += data.length));
      await once(client, 'close');
      await close(server);
      return size;
    },
    1,
  );
}

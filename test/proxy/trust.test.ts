/** `keyless-tls proxy --trust`: neighbours that say who the client is. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createHttpServer, type Server as HttpServer } from 'node:http';
import { connect as connectTcp, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import tls from 'node:tls';
import { encodeProxyHeader } from '../../lib/proxy/proxy-protocol.ts';
import { HostsFolder, ProxyProcess, portOf } from '../helpers/proxying.ts';

let folder: HostsFolder;
before(async () => {
  folder = await HostsFolder.make();
  await folder.add('www', ['localhost']);
});
after(() => folder.remove());

async function serving(
  server: HttpServer,
  args: readonly string[],
  work: (port: number, proxy: ProxyProcess) => Promise<void>,
): Promise<void> {
  const proxy = new ProxyProcess(folder, ['--backend', `http://127.0.0.1:${await portOf(server)}`, ...args]);
  try {
    await work(await proxy.port(), proxy);
  } finally {
    assert.equal(await proxy.end(), 0, proxy.stderr);
    server.close();
  }
}

/** Whatever it ends with. */
function closed(socket: Socket): Promise<void> {
  socket.on('error', () => undefined).resume();
  return new Promise((resolve) => socket.on('close', () => resolve()));
}

/** A neighbour that puts bytes in front of the client's TLS, whole or one by one. */
async function behind(port: number, front: Buffer, slices: boolean): Promise<tls.TLSSocket> {
  const socket = connectTcp(port, '127.0.0.1');
  await once(socket, 'connect');
  socket.setNoDelay(true);
  if (slices)
    for (const byte of front) await new Promise((resolve) => socket.write(Buffer.of(byte), resolve));
  else socket.write(front);
  return tls.connect({ socket: socket as Duplex, servername: 'localhost', ca: folder.authority.certPem });
}

/** It speaks for itself ("The PROXY protocol" §2.2). */
const LOCAL_HEADER = Buffer.from('\r\n\r\n\0\r\nQUIT\n\x20\0\0\0', 'latin1');

const HEADER = encodeProxyHeader({
  source: { address: '2001:db8::7', port: 5555 },
  destination: { address: '2001:db8::1', port: 443 },
});

test('--trust: such a neighbour says who the client is; without a whole header it is not served', async () => {
  const server = createHttpServer((request, response) =>
    response.end(String(request.headers['x-forwarded-for'])),
  );
  await serving(server, ['--trust', '127.0.0.0/8', '--handshake-timeout', '400'], async (port, proxy) => {
    for (const slices of [false, true]) {
      const socket = await behind(port, HEADER, slices);
      socket.write(
        'GET / HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 192.0.2.9\r\nConnection: close\r\n\r\n',
      );
      assert.match(await text(socket), /\r\n2001:db8::7$/, 'what is within is the client’s word');
    }
    const itself = await behind(port, LOCAL_HEADER, false);
    itself.write(
      'GET / HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 192.0.2.9\r\nConnection: close\r\n\r\n',
    );
    assert.match(await text(itself), /\r\n192\.0\.2\.9, 127\.0\.0\.1$/);
    for (const [front, reason] of [
      ['', /no PROXY header/],
      ['PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n', /no PROXY header/],
      ['\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x04abcd', /cut off/],
      ['\r\n\r\n\0\r\nQUIT\n\x21\x00\0\0', /no client of TCP/],
      ['\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x0cabcdefghijkl', /no client of TCP/],
      [`\r\n\r\n\0\r\nQUIT\n\x21\x31\0\xd8${'a'.repeat(216)}`, /no client of TCP/],
      ['\r\n\r\n\0\r\nQUIT\n\x2f\x11\0\x0cabcdefghijkl', /unknown command/],
      ['\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff', /too long/],
    ] as const) {
      const refused = proxy.events.length;
      const socket = await behind(port, Buffer.from(front, 'latin1'), false);
      await closed(socket);
      await proxy.event(
        'refused',
        (event) => proxy.events.indexOf(event) >= refused && reason.test(String(event.reason)),
      );
    }
    const silent = connectTcp(port, '127.0.0.1');
    await closed(silent);
    await proxy.event('refused', ({ reason }) => /in time/.test(String(reason)));
  });
});

/** What a client begins with. */
function clientHello(): Promise<Buffer> {
  return new Promise((resolve) => {
    const write = (bytes: Buffer) => resolve(bytes);
    const socket = new Duplex({ read: () => undefined, write });
    tls.connect({ socket, servername: 'localhost' }).on('error', () => undefined);
  });
}

test('--trust: who is refused in its handshake, or leaves it, is the client that the neighbour names', async () => {
  const server = createHttpServer();
  await serving(server, ['--trust', '127.0.0.1'], async (port, proxy) => {
    for (const leave of [
      (socket: Socket) => socket.resetAndDestroy(),
      (socket: Socket) => socket.end(),
      (socket: Socket) => socket.write('no TLS'),
    ]) {
      const told = proxy.events.length;
      const socket = connectTcp(port, '127.0.0.1').on('error', () => undefined);
      socket.write(Buffer.concat([HEADER, await clientHello()]));
      await once(socket, 'data');
      leave(socket);
      const { client, host } = await proxy.event('refused', (event) => proxy.events.indexOf(event) >= told);
      assert.deepEqual([client, host], ['2001:db8::7', 'www']);
      socket.destroy();
    }
  });
});

test('--trust: so it is where a host has no backend', async () => {
  const args = ['--backend', 'other=http://127.0.0.1:1', '--trust', '127.0.0.1'];
  const proxy = new ProxyProcess(folder, args);
  const socket = await behind(await proxy.port(), HEADER, false);
  const [{ client, reason }] = await Promise.all([proxy.event('refused'), closed(socket)]);
  assert.deepEqual([client, reason], ['2001:db8::7', 'no backend for localhost']);
  assert.equal(await proxy.end(), 0);
});

test('--trust: a neighbour that uses one port towards two addresses of the proxy passes on two clients', async () => {
  const server = createHttpServer((request, response) =>
    response.end(String(request.headers['x-forwarded-for'])),
  );
  await serving(server, ['--trust', '127.0.0.1', '--listen', '0.0.0.0:0'], async (port) => {
    const introduce = async (host: string, address: string, localPort?: number) => {
      const socket = connectTcp({ port, host, localAddress: '127.0.0.1', localPort });
      await once(socket, 'connect');
      const source = { address, port: 5555 };
      socket.write(encodeProxyHeader({ source, destination: { address: host, port } }));
      return socket;
    };
    const ask = async (socket: Socket) => {
      const secure = tls.connect({ socket, servername: 'localhost', ca: folder.authority.certPem });
      secure.write(
        'GET / HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 192.0.2.9\r\nConnection: close\r\n\r\n',
      );
      return (await text(secure)).split('\r\n\r\n')[1];
    };
    const first = await introduce('127.0.0.1', '192.0.2.1');
    const second = await introduce('127.0.0.2', '192.0.2.2', first.localPort);
    const third = await introduce('127.0.0.3', '192.0.2.3', first.localPort);
    assert.equal(await ask(second), '192.0.2.2');
    assert.equal(await ask(first), '192.0.2.1');
    assert.equal(await ask(third), '192.0.2.3', 'also when others are closed');
  });
});

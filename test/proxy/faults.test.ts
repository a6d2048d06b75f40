/** What this code is wrong about: it ends the connection that it serves, with a line, and no other. */
import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { createServer as createHttpServer, type Server as HttpServer } from 'node:http';
import http2 from 'node:http2';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { after, before, test } from 'node:test';
import tls from 'node:tls';
import { parseBackend } from '../../lib/proxy/backend.ts';
import type { ProxyEvents } from '../../lib/proxy/events.ts';
import { indexHosts, readHostFolder } from '../../lib/proxy/host-folder.ts';
import { TlsProxy } from '../../lib/proxy/tls-proxy.ts';
import { HostsFolder, portOf } from '../helpers/proxying.ts';

let folder: HostsFolder;
let web: HttpServer;
let echo: Server;
before(async () => {
  folder = await HostsFolder.make();
  await folder.add('www', ['localhost']);
  web = createHttpServer((_request, response) => response.end('ok'));
  web.on('upgrade', (_request, socket) => socket.end('HTTP/1.1 101 Switching\r\nUpgrade: foo\r\n\r\n'));
  echo = createServer((socket) => void socket.on('error', () => undefined).pipe(socket));
  await Promise.all([portOf(web), portOf(echo)]);
});
after(() => {
  web.close();
  echo.close();
  folder.remove();
});

/** Fails where a record is told of, when the connection has got its answer. */
const onRecord: ProxyEvents['onRecord'] = () => {
  throw new RangeError('no room\nfor it');
};

const TOLD = /^127\.0\.0\.1 RangeError at .*\bonRecord\b/;

/** @param visit ends when its connection does */
async function faulty(url: string, visit: (port: number) => Promise<unknown>): Promise<void> {
  const problems = new EventEmitter();
  const told = once(problems, 'told');
  const proxy = new TlsProxy({
    backendOf: () => parseBackend(url),
    ...{ handshakeTimeoutMs: 60_000, backendTimeoutMs: 60_000, idleTimeoutMs: 60_000, maxConnections: 10 },
    backendStock: 10,
    events: {
      onRecord,
      onUnknownHost: () => undefined,
      onRefused: () => undefined,
      onProblem: (client, reason) => problems.emit('told', `${client} ${reason}`),
    },
  });
  const hosts = await readHostFolder(folder.hosts);
  proxy.setHosts(indexHosts(hosts).index, hosts.hosts);
  const port = await proxy.listen(0, '127.0.0.1');
  const other = connect(port);
  await once(other, 'secureConnect');
  try {
    await visit(port);
    assert.match((await told)[0], TOLD);
    assert.equal(other.readyState, 'open');
  } finally {
    other.destroy();
    await proxy.close(0);
  }
}

function connect(port: number): tls.TLSSocket {
  const socket = tls.connect({ port, servername: 'localhost', ca: folder.authority.certPem });
  return socket.on('error', () => undefined);
}

const ended = (socket: tls.TLSSocket) => new Promise((resolve) => socket.on('close', resolve).resume());

for (const [what, bytes] of [
  ['a request', 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'],
  ['an upgrade', 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n'],
  ['a refused upgrade', 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n'],
  ['what is no request', 'NONE\r\n\r\n'],
] as const)
  test(`${what} over HTTP/1.1`, () =>
    faulty(`http://127.0.0.1:${(web.address() as AddressInfo).port}`, async (port) => {
      const socket = connect(port);
      socket.write(bytes);
      await ended(socket);
    }));

test('a request over HTTP/2', () =>
  faulty(`http://127.0.0.1:${(web.address() as AddressInfo).port}`, async (port) => {
    const session = http2.connect(`https://localhost:${port}`, { ca: folder.authority.certPem });
    session.on('error', () => undefined);
    session.request({ ':path': '/' }).on('error', () => undefined);
    await new Promise((resolve) => session.on('close', resolve));
  }));

test('bytes of any protocol', () =>
  faulty(`tcp://127.0.0.1:${(echo.address() as AddressInfo).port}`, async (port) => {
    const socket = connect(port);
    socket.end('x');
    await ended(socket);
  }));

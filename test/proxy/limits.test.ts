/** `keyless-tls proxy` where the system gives no more: who is connected goes on, and whoever comes later is served again. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, Server } from 'node:net';
import { after, afterEach, before, mock, test } from 'node:test';
import tls from 'node:tls';
import { parseBackend } from '../../lib/proxy/backend.ts';
import { indexHosts, readHostFolder } from '../../lib/proxy/host-folder.ts';
import { TlsProxy } from '../../lib/proxy/tls-proxy.ts';
import { HostsFolder, ProxyProcess, portOf } from '../helpers/proxying.ts';

const OPEN_FILES = 64;
const CROWD = 100;
/** errno(3), as libuv tells it. */
const ENOMEM = -12;

let folder: HostsFolder;
let echo: Server;
let url: string;
before(async () => {
  folder = await HostsFolder.make();
  await folder.add('www', ['localhost']);
  echo = createServer((socket) => void socket.on('error', () => undefined).pipe(socket));
  url = `tcp://127.0.0.1:${await portOf(echo)}`;
});
afterEach(() => mock.restoreAll());
after(() => {
  echo.close();
  folder.remove();
});

function connect(port: number): tls.TLSSocket {
  return tls.connect({ port, servername: 'localhost', ca: folder.authority.certPem });
}

/** @returns whether TLS got through */
function attempt(socket: tls.TLSSocket): Promise<boolean> {
  return new Promise((resolve) => {
    socket.on('secureConnect', () => resolve(true)).on('error', () => resolve(false));
  });
}

async function echoed(socket: tls.TLSSocket): Promise<string> {
  socket.write('x');
  const [data] = await once(socket, 'data');
  return String(data);
}

test('without a file left, new connections are reset; those that are open go on, and later ones are served', async () => {
  const proxy = new ProxyProcess(folder, ['--backend', url], undefined, OPEN_FILES);
  const port = await proxy.port();
  const { 'open-files': limit, needed } = await proxy.event('limit-problem');
  assert.deepEqual([limit, needed], [OPEN_FILES, 20_100]);
  const first = connect(port);
  assert.equal(await echoed(first), 'x');
  const crowd = Array.from({ length: CROWD }, () => connect(port));
  const through = (await Promise.all(crowd.map(attempt))).filter(Boolean).length;
  assert.ok(through < CROWD, 'there are not files for all');
  assert.equal(await echoed(first), 'x');
  for (const socket of crowd) socket.destroy();
  const streams = () => proxy.events.filter(({ event }) => event === 'stream').length;
  await proxy.event('stream', () => streams() >= through);
  const last = connect(port);
  assert.equal(await echoed(last), 'x');
  for (const socket of [first, last]) socket.destroy();
  assert.equal(await proxy.end(), 0);
});

test('a connection that the system cannot give is told of, and the next is served', async () => {
  const refused: string[] = [];
  const listen = mock.method(Server.prototype, 'listen');
  const proxy = new TlsProxy({
    backendOf: () => parseBackend(url),
    ...{
      handshakeTimeoutMs: 10_000,
      backendTimeoutMs: 10_000,
      idleTimeoutMs: 10_000,
      maxConnections: 10,
      backendStock: 10,
    },
    events: {
      onRecord: () => undefined,
      onUnknownHost: () => undefined,
      onRefused: (client, reason) => refused.push(`${client} ${reason}`),
      onProblem: () => undefined,
    },
  });
  const hosts = await readHostFolder(folder.hosts);
  proxy.setHosts(indexHosts(hosts).index, hosts.hosts);
  const port = await proxy.listen(0, '127.0.0.1');
  const server = listen.mock.calls[0]!.this as { _handle: { onconnection(status: number): void } };
  server._handle.onconnection(ENOMEM);
  assert.deepEqual(refused, ['unknown ENOMEM']);
  const socket = connect(port);
  assert.equal(await echoed(socket), 'x');
  socket.destroy();
  await proxy.close(10_000);
});

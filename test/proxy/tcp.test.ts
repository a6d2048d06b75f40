/** Connections through `keyless-tls proxy` whose bytes are passed on as they are, and WebSockets. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import {
  createServer as createHttpServer,
  type Server as HttpServer,
  request as httpRequest,
} from 'node:http';
import { connect as connectHttp2, createSecureServer, type Http2SecureServer } from 'node:http2';
import { createRequire } from 'node:module';
import { connect as connectTcp, createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import tls from 'node:tls';
import { decodeProxyHeader } from '../../lib/proxy/proxy-protocol.ts';
import { closed } from '../helpers/closed.ts';
import { lastingPort } from '../helpers/lasting-port.ts';
import { HostsFolder, ProxyProcess, portOf } from '../helpers/proxying.ts';

/** The package brings no types. */
const { WebSocket, WebSocketServer } = createRequire(import.meta.url)('ws');

let folder: HostsFolder;
before(async () => {
  folder = await HostsFolder.make();
  await folder.add('www', ['localhost']);
});
after(() => folder.remove());

async function serving(
  server: Server | HttpServer | Http2SecureServer,
  scheme: string,
  args: readonly string[],
  work: (port: number, proxy: ProxyProcess) => Promise<void>,
): Promise<void> {
  const proxy = new ProxyProcess(folder, [
    '--backend',
    `${scheme}://127.0.0.1:${await portOf(server)}`,
    ...args,
  ]);
  try {
    await work(await proxy.port(), proxy);
  } finally {
    assert.equal(await proxy.end(), 0, proxy.stderr);
    server.close();
  }
}

function connect(port: number, options: tls.ConnectionOptions = {}): tls.TLSSocket {
  const base = { port, host: '127.0.0.1', servername: 'localhost', ca: folder.authority.certPem };
  return tls.connect({ ...base, ...options });
}

const echo = () => createServer({ allowHalfOpen: true }, (socket) => void socket.pipe(socket));

test('bytes pass both ways, and each end is told of the other’s', async () => {
  await serving(echo(), 'tcp', [], async (port, proxy) => {
    const sent = Buffer.alloc(5_000_000, 'keyless');
    const socket = connect(port, { allowHalfOpen: true } as tls.ConnectionOptions);
    socket.end(sent);
    assert.ok(sent.equals(await buffer(socket)));
    const { bytesIn, bytesOut, error } = await proxy.event('stream');
    assert.deepEqual([bytesIn, bytesOut, error], [5_000_000, 5_000_000, undefined]);
  });
});

test('the protocol is the client’s first choice, or one of --alpn', async () => {
  await serving(echo(), 'tcp', [], async (port) => {
    const socket = connect(port, { ALPNProtocols: ['postgresql', 'h2'] });
    await once(socket, 'secureConnect');
    assert.equal(socket.alpnProtocol, 'postgresql');
    socket.destroy();
  });
  await serving(echo(), 'tcp', ['--alpn', 'h2'], async (port) => {
    const socket = connect(port, { ALPNProtocols: ['postgresql', 'h2'] });
    await once(socket, 'secureConnect');
    assert.equal(socket.alpnProtocol, 'h2');
    socket.destroy();
    const other = connect(port, { ALPNProtocols: ['smtp'] });
    const [error] = (await once(other, 'error')) as [NodeJS.ErrnoException];
    assert.equal(error.code, 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL');
  });
});

test('a backend that resets takes the client’s connection with it; one that is down, too', async () => {
  const server = createServer((socket) => {
    socket.once('data', () => socket.resetAndDestroy());
  });
  await serving(server, 'tcp', [], async (port, proxy) => {
    const socket = connect(port);
    socket.write('x');
    await closed(socket.resume());
    assert.equal((await proxy.event('stream')).error, 'ECONNRESET');
  });
  await serving(
    echo(),
    'tcp',
    ['--backend', `www=tcp://127.0.0.1:${await lastingPort()}`],
    async (port, proxy) => {
      const socket = connect(port);
      await closed(socket.resume());
      assert.equal((await proxy.event('stream')).error, 'ECONNREFUSED');
    },
  );
});

test('a connection on which nothing moves is closed', async () => {
  await serving(echo(), 'tcp', ['--idle-timeout', '200'], async (port, proxy) => {
    const socket = connect(port);
    await closed(socket.resume());
    assert.equal((await proxy.event('stream')).error, 'timeout');
  });
});

test('tls: the backend’s certificate is verified; its own bytes pass', async () => {
  const issued = await folder.authority.issue({ type: 'p256' });
  const server = () =>
    tls.createServer(
      { cert: issued.certPem, key: issued.keyPem, allowHalfOpen: true },
      (socket) => void socket.pipe(socket),
    );
  await serving(server(), 'tls', ['--backend-ca', folder.file('ca.crt')], async (port) => {
    const socket = connect(port, { allowHalfOpen: true } as tls.ConnectionOptions);
    socket.end('over TLS twice');
    assert.equal(await text(socket), 'over TLS twice');
  });
  await serving(server(), 'tls', [], async (port, proxy) => {
    const socket = connect(port);
    await closed(socket.resume());
    assert.match(String((await proxy.event('stream')).error), /UNABLE_TO|SELF_SIGNED/);
  });
});

test('tls: the backend is told the protocol that the client has got', async () => {
  const issued = await folder.authority.issue({ type: 'p256' });
  const server = createSecureServer({ cert: issued.certPem, key: issued.keyPem }, (_, response) =>
    response.end('over HTTP/2'),
  );
  const args = ['--alpn', 'h2', '--backend-ca', folder.file('ca.crt')];
  await serving(server, 'tls', args, async (port) => {
    const session = connectHttp2(`https://localhost:${port}`, { ca: folder.authority.certPem });
    assert.equal(await text(session.request({ ':path': '/' })), 'over HTTP/2');
    session.close();
  });
});

test('--backend-timeout is for the whole way to a backend, TLS included, however its bytes drip', async () => {
  const server = createServer((socket) => {
    // The beginning of a record of 16 KB.
    socket.write(Buffer.of(22, 3, 3, 64, 0));
    const timer = setInterval(() => socket.write(Buffer.of(0)), 50);
    socket.on('error', () => undefined).on('close', () => clearInterval(timer));
  });
  await serving(server, 'tls', ['--backend-timeout', '250'], async (port, proxy) => {
    const started = performance.now();
    await closed(connect(port).resume());
    assert.ok(performance.now() - started < 5000);
    assert.equal((await proxy.event('stream')).error, 'timeout');
  });
});

test('--send-proxy tells a backend who the client is, before the client’s first byte', async () => {
  const got: Uint8Array[] = [];
  const server = createServer((socket) => {
    socket.on('data', (chunk: Buffer) => got.push(chunk)).on('end', () => socket.end());
  });
  await serving(server, 'tcp', ['--send-proxy'], async (port) => {
    const socket = connect(port);
    await once(socket, 'secureConnect');
    const { localPort } = socket;
    socket.end('hello');
    socket.resume();
    await once(socket, 'close');
    const bytes = Buffer.concat(got);
    const header = decodeProxyHeader(bytes);
    assert.deepEqual(header?.source, { address: '127.0.0.1', port: localPort });
    assert.equal(bytes.subarray(header?.bytes).toString(), 'hello');
  });
});

interface Peer {
  on(event: string, listener: (...values: never[]) => void): Peer;
  once(event: string, listener: (...values: never[]) => void): Peer;
  send(data: unknown): void;
  close(): void;
}

test('a WebSocket: messages both ways, through a refusal, and with --send-proxy no header', async () => {
  const server = createHttpServer((_, response) => response.writeHead(404).end('no socket here'));
  const sockets = new WebSocketServer({ noServer: true });
  server.on('upgrade', (request, socket, head) => {
    if (request.url === '/no') {
      const hops = 'Connection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\n';
      socket.end(`HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n${hops}X-Why: so\r\n\r\nsorry`);
      return;
    }
    sockets.handleUpgrade(request, socket, head, (peer: Peer) =>
      peer.on('message', (data: never) => peer.send(data)),
    );
  });
  await serving(server, 'http', ['--send-proxy'], async (port, proxy) => {
    const open = (path: string): Peer =>
      new WebSocket(`wss://localhost:${port}${path}`, {
        ca: folder.authority.certPem,
        perMessageDeflate: false,
      });
    const socket = open('/');
    await new Promise<void>((resolve) => socket.on('open', () => resolve()));
    for (const size of [0, 1, 70_000]) {
      const data = Buffer.alloc(size, 'w');
      const back = new Promise((resolve) => socket.once('message', resolve as () => void));
      socket.send(data);
      assert.ok(data.equals((await back) as Buffer));
    }
    const closed = new Promise<void>((resolve) => socket.on('close', () => resolve()));
    socket.close();
    await closed;
    const refused = new Promise<{ statusCode: number; headers: Record<string, string> }>((resolve) =>
      open('/no')
        .on('unexpected-response', ((_: unknown, response: never) => resolve(response)) as never)
        .on('error', () => undefined),
    );
    const {
      statusCode,
      headers: { date, ...headers },
    } = await refused;
    assert.deepEqual([statusCode, typeof date], [403, 'string']);
    assert.deepEqual(headers, { 'content-length': '5', connection: 'close', 'x-why': 'so' });
    const { status, path } = await proxy.event('upgrade');
    assert.deepEqual([status, path], [101, '/']);
  });
});

const UPGRADE = 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n';

for (const [how, leave] of [
  ['ends its side', (socket: tls.TLSSocket) => void socket.end()],
  ['resets', (socket: tls.TLSSocket) => void socket.destroy()],
] as const) {
  test(`a client that asks for an upgrade and ${how} does not keep a silent backend's connection`, async () => {
    const server = createServer();
    await serving(server, 'http', ['--backend-timeout', '60000'], async (port, proxy) => {
      const socket = connect(port);
      socket.write(UPGRADE);
      const [backend] = (await once(server, 'connection')) as [Socket];
      await once(backend, 'data');
      leave(socket);
      const ends = [closed(backend.resume()), closed(socket.resume()), proxy.event('upgrade')] as const;
      const [, , { status, error }] = await Promise.all(ends);
      assert.deepEqual([status, error], [499, undefined]);
    });
  });
}

test('what a client sends ahead of the answer to its upgrade reaches the backend, in order', async () => {
  const server = createHttpServer((_, response) => response.end('served'));
  const asked = new Promise<[Duplex, Buffer]>((resolve) =>
    server.on('upgrade', (_, socket, head) => resolve([socket, head])),
  );
  await serving(server, 'http', [], async (port) => {
    const socket = connect(port);
    socket.write(`${UPGRADE}one `);
    const [backend, head] = await asked;
    assert.equal(head.length, 0, 'the backend has not agreed yet');
    socket.write('two ');
    // Whoever is answered now has sent later than that was.
    const other = connect(port);
    other.write('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
    assert.match(await text(other), /served/);
    backend.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n');
    socket.once('data', () => socket.end('three'));
    assert.equal(await text(backend), 'one two three');
    backend.end();
  });
});

test('SIGTERM: what is under way is finished, nothing new is taken, and then it ends', async () => {
  let answer: () => void = () => undefined;
  const asked = new Promise<void>((resolve) => {
    answer = resolve;
  });
  let finish: () => void = () => undefined;
  const server = createHttpServer((_, response) => {
    response.write('first ');
    finish = () => response.end('last');
    answer();
  });
  const proxy = new ProxyProcess(folder, ['--backend', `http://127.0.0.1:${await portOf(server)}`]);
  const port = await proxy.port();
  const socket = connect(port);
  socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await asked;
  const idle = connect(port);
  await once(idle, 'secureConnect');
  proxy.child.kill('SIGTERM');
  await proxy.event('draining');
  const late = connectTcp(port, '127.0.0.1');
  const [error] = (await once(late, 'error')) as [NodeJS.ErrnoException];
  assert.equal(error.code, 'ECONNREFUSED');
  finish();
  assert.match(await text(socket), /first [\s\S]*last/);
  idle.destroy();
  assert.equal(await proxy.ended, 0);
  server.close();
});

test('a client that says nothing is turned away after the handshake timeout, and does not hold up an end', async () => {
  await serving(echo(), 'tcp', ['--handshake-timeout', '200'], async (port, proxy) => {
    const silent: Socket = connectTcp(port, '127.0.0.1');
    await closed(silent.resume());
    assert.equal((await proxy.event('refused')).reason, 'ERR_TLS_HANDSHAKE_TIMEOUT');
  });
  await serving(echo(), 'tcp', ['--drain-timeout', '200'], async (port) => {
    const open = connect(port);
    await once(open, 'secureConnect');
    open.on('error', () => undefined);
  });
});

test('plain HTTP to the TLS port is refused, and said', async () => {
  await serving(echo(), 'tcp', [], async (port, proxy) => {
    const request = httpRequest({ port, host: '127.0.0.1' });
    request.on('error', () => undefined).end();
    assert.equal((await proxy.event('refused')).reason, 'ERR_SSL_HTTP_REQUEST');
  });
});

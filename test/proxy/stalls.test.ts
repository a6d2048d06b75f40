/** What stands still at `keyless-tls proxy` ends, what goes on does not, and there is only so much of anything. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import net, { type Socket } from 'node:net';
import { after, before, mock, test } from 'node:test';
import tls from 'node:tls';
import { HttpFront } from '../../lib/proxy/http-front.ts';
import { closed } from '../helpers/closed.ts';
import { HostsFolder, inFrontOf, type ProxyProcess, portOf } from '../helpers/proxying.ts';

/** What does not stand still is not to be taken for it on a machine that does, for a moment. */
const LIMIT_MS = 1200;
/** Longer than a test may take. */
const NEVER_MS = 300_000;
const HEAD = 'Host: localhost\r\n';
/** More than what systems hold for who does not read. */
const REFUSAL_BYTES = 30_000_000;
const REFUSAL = `HTTP/1.1 403 Forbidden\r\nContent-Length: ${REFUSAL_BYTES}\r\n\r\n`;

let folder: HostsFolder;
let backend: http.Server;
let url: string;
before(async () => {
  folder = await HostsFolder.make();
  await folder.add('www', ['localhost']);
  backend = http.createServer((request, response) => {
    if (request.url === '/silent') return;
    if (request.url === '/trickle') {
      const timer = setInterval(() => response.write('.'), 1);
      response.on('close', () => clearInterval(timer));
    } else if (request.url === '/slow') setTimeout(() => response.end('slow'), 2 * LIMIT_MS);
    else if (request.url === '/unread') response.end(Buffer.alloc(REFUSAL_BYTES));
    else if (request.url === '/long') response.end(Buffer.alloc(1_000_000));
    else request.resume().on('end', () => response.end('ok'));
  });
  backend.on('upgrade', ({ url }, socket: Socket) => {
    socket.on('error', () => undefined).on('end', () => socket.destroy());
    socket.resume();
    if (url === '/no') socket.end('HTTP/1.1 403 <b>No\r\nContent-Length: 2\r\n\r\nno');
    if (url === '/long') socket.end(Buffer.concat([Buffer.from(REFUSAL), Buffer.alloc(REFUSAL_BYTES)]));
    if (url === '/half') socket.write(`${REFUSAL}half`);
  });
  url = `http://127.0.0.1:${await portOf(backend)}`;
});
after(() => {
  backend.closeAllConnections();
  backend.close();
  folder.remove();
});

function serving(
  args: readonly string[],
  work: (port: number, proxy: ProxyProcess) => Promise<void>,
): Promise<void> {
  return inFrontOf(url, folder, args, work);
}

const idle = (ms: number) => ['--idle-timeout', String(ms)];
const slowest = (ms: number) => ['--backend-timeout', String(ms)];

function connect(port: number): tls.TLSSocket {
  return tls.connect({ port, servername: 'localhost', ca: folder.authority.certPem });
}

function connectHttp2(port: number): http2.ClientHttp2Session {
  const session = http2.connect(`https://localhost:${port}`, { ca: folder.authority.certPem });
  return session.on('error', () => undefined);
}

async function statusOf(stream: http2.ClientHttp2Stream): Promise<number> {
  const [head] = await once(stream, 'response');
  stream.resume();
  return head[':status'];
}

/** Everything until its end, whatever that is. */
function allOf(socket: tls.TLSSocket): Promise<string> {
  let all = '';
  socket.on('data', (data) => {
    all += data;
  });
  return new Promise((resolve) => socket.on('error', () => undefined).on('close', () => resolve(all)));
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

test('a body that goes on takes as long as it likes, longer than a backend may', async () => {
  await serving([...idle(NEVER_MS), ...slowest(LIMIT_MS)], async (port) => {
    const socket = connect(port);
    const answer = allOf(socket);
    socket.write(`PUT / HTTP/1.1\r\n${HEAD}Connection: close\r\nContent-Length: 3\r\n\r\n`);
    const session = connectHttp2(port);
    const stream = session.request({ ':method': 'PUT', ':path': '/' });
    const status = statusOf(stream);
    for (let count = 0; count < 3; count += 1) {
      for (const to of [socket, stream]) to.write('x');
      await pause(1.5 * LIMIT_MS);
    }
    stream.end();
    assert.match(await answer, /^HTTP\/1\.1 200 /);
    assert.equal(await status, 200);
    session.close();
  });
  const emit = mock.method(http.Server.prototype, 'emit');
  new HttpFront({
    backendTimeoutMs: 1,
    idleTimeoutMs: 1,
    backendStock: 1,
    onRecord: () => undefined,
  }).close();
  const [{ this: server }] = emit.mock.calls as unknown as [{ this: http.Server }];
  emit.mock.restore();
  assert.equal(server.requestTimeout, 0, 'nor longer than Node.js gives it by itself');
});

test('a body that does not go on is 408, and no failure of the backend', async () => {
  await serving([...idle(LIMIT_MS), ...slowest(NEVER_MS)], async (port, proxy) => {
    const socket = connect(port);
    socket.write(`PUT / HTTP/1.1\r\n${HEAD}Content-Length: 3\r\n\r\nx`);
    assert.match(await allOf(socket), /^HTTP\/1\.1 408 .*\r\nconnection: close\r\n/is);
    const session = connectHttp2(port);
    const stream = session.request({ ':method': 'PUT', ':path': '/' });
    stream.write('x');
    // It does not end its side after that either.
    const gone = once(stream, 'close');
    const [head] = await once(stream, 'response');
    assert.equal(head[':status'], 408);
    await gone;
    assert.equal(stream.rstCode, http2.constants.NGHTTP2_NO_ERROR, 'its answer is whole');
    session.close();
    for (const version of ['HTTP/1.1', 'HTTP/2.0']) {
      const { status, error } = await proxy.event('request', (event) => event.version === version);
      assert.deepEqual([status, error], [408, undefined]);
    }
  });
});

test('a head that drips is 408', async () => {
  await serving(idle(LIMIT_MS), async (port, proxy) => {
    const socket = connect(port);
    const answer = allOf(socket);
    socket.write(`GET / HTTP/1.1\r\n${HEAD}X-Drip: `);
    const timer = setInterval(() => socket.write('x'), 20);
    assert.match(await answer, /^HTTP\/1\.1 408 /);
    clearInterval(timer);
    assert.equal((await proxy.event('request')).status, 408);
  });
});

test('a client that waits for a backend is not idle', async () => {
  await serving([...idle(LIMIT_MS), ...slowest(NEVER_MS)], async (port) => {
    const socket = connect(port);
    socket.write(`GET /slow HTTP/1.1\r\n${HEAD}Connection: close\r\n\r\n`);
    assert.match(await allOf(socket), /slow$/);
    const session = connectHttp2(port);
    const unread = session.request({ ':path': '/slow' });
    const [head] = await once(unread, 'response');
    assert.equal(head[':status'], 200);
    // It waits for its stream to be read, and does not close its connection: nobody waits for that.
    session.close();
  });
});

test('a client that reads no answer is ended, also if it pings; so is one that asks nothing', async () => {
  await serving([...idle(LIMIT_MS), ...slowest(NEVER_MS)], async (port) => {
    for (const path of ['/long', '/', undefined]) {
      const session = connectHttp2(port);
      // Nothing may come, as nothing is read.
      if (path !== undefined) {
        session.settings({ initialWindowSize: 0 });
        session.request({ ':path': path }).on('error', () => undefined);
      }
      const timer = setInterval(() => session.destroyed || session.ping(() => undefined), LIMIT_MS / 4);
      await closed(session);
      clearInterval(timer);
    }
    for (const ask of ['', `GET / HTTP/1.1\r\n${HEAD}\r\n`, `GET /long HTTP/1.1\r\n${HEAD}\r\n`]) {
      const socket = connect(port);
      socket.write(ask);
      await allOf(socket);
    }
  });
});

test('a backend that is silent to an upgrade is 504', async () => {
  await serving(slowest(LIMIT_MS), async (port) => {
    const socket = connect(port);
    socket.write(`GET / HTTP/1.1\r\n${HEAD}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n`);
    assert.match(await allOf(socket), /^HTTP\/1\.1 504 /);
  });
});

const upgradeOf = (path: string, to = 'websocket') =>
  `GET ${path} HTTP/1.1\r\n${HEAD}Connection: Upgrade\r\nUpgrade: ${to}\r\n\r\n`;

/** It keeps its end open, and finds out that the other is closed by writing to it. */
async function stay(port: number, ask: string): Promise<string> {
  const options = { port, servername: 'localhost', ca: folder.authority.certPem, allowHalfOpen: true };
  const socket = tls.connect(options);
  const answer = allOf(socket);
  socket.write(ask);
  await once(socket, 'end');
  const timer = setInterval(() => socket.write('x'), 20);
  await answer;
  clearInterval(timer);
  return answer;
}

const STAYING = { timeout: 120_000 };

test(
  'a client that is refused an upgrade or CONNECT is let go of, whether it ends its side or not',
  STAYING,
  async () => {
    await serving([...idle(NEVER_MS), ...slowest(NEVER_MS)], async (port) => {
      assert.match(
        await stay(port, `CONNECT a:1 HTTP/1.1\r\n${HEAD}\r\n`),
        /^HTTP\/1\.1 501 Not Implemented\r/,
      );
      assert.match(await stay(port, upgradeOf('/', 'h2c')), /^HTTP\/1\.1 501 Not Implemented\r/);
      assert.match(await stay(port, upgradeOf('/no')), /^HTTP\/1\.1 403 Forbidden\r[\s\S]*\r\n\r\nno$/);
    });
    await serving(['--backend', 'www=http://127.0.0.1:1'], async (port) =>
      assert.match(await stay(port, upgradeOf('/')), /^HTTP\/1\.1 502 Bad Gateway\r/),
    );
  },
);

test(
  'a refusal of an upgrade that does not go on ends both its connections: by time, or when its client goes',
  STAYING,
  async () => {
    // In an array: it is the connection that is waited for.
    const asked = async () => [closed((await once(backend, 'connection'))[0])];
    await serving([...idle(NEVER_MS), ...slowest(LIMIT_MS)], async (port, proxy) => {
      const [[gone], answer] = await Promise.all([asked(), stay(port, upgradeOf('/half'))]);
      assert.match(answer, /\r\n\r\nhalf$/);
      const { status, bytes, error } = await proxy.event('upgrade');
      assert.deepEqual([status, bytes, error], [403, 4, 'timeout']);
      await gone;
    });
    await serving([...idle(NEVER_MS), ...slowest(NEVER_MS)], async (port, proxy) => {
      const socket = connect(port);
      // Whatever it has sent ahead, more than is kept of it.
      socket.write(upgradeOf('/half') + 'x'.repeat(200_000));
      const [[gone]] = await Promise.all([asked(), once(socket, 'data')]);
      socket.destroy();
      await gone;
      const { status, error } = await proxy.event('upgrade');
      assert.deepEqual([status, error], [403, undefined]);
    });
    await serving([...idle(LIMIT_MS), ...slowest(NEVER_MS)], async (port, proxy) => {
      const socket = connect(port).pause();
      socket.write(upgradeOf('/long'));
      const { status, error } = await proxy.event('upgrade');
      assert.deepEqual([status, error], [403, undefined], 'no failure of the backend');
      await allOf(socket.resume());
    });
  },
);

test('so many streams for a connection, and connections for a process', async () => {
  await serving(['--max-connections', '1'], async (port) => {
    const session = connectHttp2(port);
    const [{ maxConcurrentStreams }] = await once(session, 'remoteSettings');
    assert.equal(maxConcurrentStreams, 128);
    const second = connect(port);
    assert.equal(await allOf(second), '');
    assert.equal(second.authorized, false, 'it did not come as far as TLS');
    session.close();
  });
});

/** Resets answers without an end, without an error, `ms` after they have begun, and goes. */
async function leave(port: number, ms: number): Promise<void> {
  const session = connectHttp2(port);
  const streams = Array.from({ length: 3 }, () => session.request({ ':path': '/trickle' }));
  await Promise.all(streams.map(statusOf));
  await new Promise((resolve) => setTimeout(resolve, ms));
  for (const stream of streams) stream.close(http2.constants.NGHTTP2_NO_ERROR);
  const gone = closed(session);
  session.close();
  await gone;
}

test('clients that reset their streams without an error in the middle of answers, and go, leave nothing', async () => {
  const together = 20;
  await serving(['--max-connections', String(together)], async (port) => {
    for (let round = 0; round < 3; round += 1)
      await Promise.all(Array.from({ length: together }, (_, index) => leave(port, index)));
  });
});

/** A client of HTTP/2 whose windows are open, and which reads nothing. */
function askUnread(socket: tls.TLSSocket, path: string): void {
  const frame = (type: number, flags: number, stream: number, payload: number[]) => {
    const head = [0, 0, payload.length, type, flags, 0, 0, 0, stream];
    return Buffer.from([...head, ...payload]);
  };
  const text = (value: string) => [value.length, ...Buffer.from(value)];
  const [window, most] = [
    [0, 4],
    [0x7f, 0xff, 0, 0],
  ] as const;
  socket.write(
    Buffer.concat([
      Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
      frame(4, 0, 0, [...window, ...most]),
      frame(8, 0, 0, [...most]),
      frame(1, 5, 1, [0x82, 0x87, 0x41, ...text('localhost'), 0x44, ...text(path)]),
    ]),
  );
}

for (const goes of [false, true])
  test(`a client of HTTP/2 that ${goes ? 'goes' : 'stays'} without reading its answer is not kept`, {
    timeout: 60_000,
  }, async () => {
    await serving([...idle(LIMIT_MS), '--drain-timeout', String(NEVER_MS)], async (port, proxy) => {
      const below = net.connect(port);
      const socket = tls.connect({
        ...{ socket: below, servername: 'localhost', ca: folder.authority.certPem },
        ALPNProtocols: ['h2'],
      });
      socket.on('error', () => undefined);
      await once(socket, 'secureConnect');
      askUnread(socket, '/unread');
      await proxy.event('request');
      if (goes) below.resetAndDestroy();
      assert.equal(await proxy.end(), 0);
      socket.destroy();
    });
  });

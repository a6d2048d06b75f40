/** A backend of `keyless-tls proxy` that answers before it has the whole request, as one does that refuses an upload. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import { createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import tls from 'node:tls';
import { HostsFolder, ProxyProcess, portOf } from '../helpers/proxying.ts';

const LIMIT_MS = 1200;
/** Longer than a test may take. */
const NEVER_MS = 300_000;
/** More than what systems hold for who does not read. */
const BODY_BYTES = 30_000_000;
const SOON = { timeout: 120_000 };

let folder: HostsFolder;
/** Of HTTP/1.1: answers a head, and does not close; of what is behind it, nothing is read for `/unread`. */
let backend: Server;
/** Of HTTP/2; the same. */
let backend2: http2.Http2Server;
const open = new Set<Socket>();
before(async () => {
  folder = await HostsFolder.make();
  await folder.add('www', ['localhost']);
  backend = createServer((socket) => {
    open.add(socket.on('close', () => open.delete(socket)).on('error', () => undefined));
    socket.on('data', (data) => {
      if (!/^(?:GET|POST) /.test(String(data))) return;
      if (String(data).includes('/unread')) socket.pause();
      socket.write('HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno');
    });
  });
  backend2 = http2.createServer().on('stream', (stream: http2.ServerHttp2Stream) => {
    stream.on('error', () => undefined).resume();
    stream.respond({ ':status': 401 });
    stream.end('no');
  });
  await Promise.all([portOf(backend), portOf(backend2)]);
});
after(() => {
  for (const socket of open) socket.destroy();
  backend.close();
  backend2.close();
  folder.remove();
});

async function serving(
  args: readonly string[],
  work: (port: number, proxy: ProxyProcess) => Promise<void>,
  to: Server = backend,
): Promise<void> {
  const url = `${to === backend ? 'http' : 'h2c'}://127.0.0.1:${(to.address() as { port: number }).port}`;
  const proxy = new ProxyProcess(folder, ['--backend', url, '--backend-timeout', String(NEVER_MS), ...args]);
  try {
    await work(await proxy.port(), proxy);
  } finally {
    assert.equal(await proxy.end(), 0, proxy.stderr);
  }
}

const idle = (ms: number) => ['--idle-timeout', String(ms)];

function connect(port: number, options: object = {}): tls.TLSSocket {
  const base = { port, servername: 'localhost', ca: folder.authority.certPem };
  return tls.connect({ ...base, ...options }).on('error', () => undefined);
}

function connectHttp2(port: number): http2.ClientHttp2Session {
  const session = http2.connect(`https://localhost:${port}`, { ca: folder.authority.certPem });
  return session.on('error', () => undefined);
}

/** Now or later. */
const closing = (what: Duplex) =>
  new Promise<void>((resolve) => (what.closed ? resolve() : what.on('close', () => resolve())));

const head = (path: string, bytes: number, fields = '') =>
  `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${bytes}\r\n${fields}\r\n`;

/** Nothing is read before it has left, as simple clients do it; a megabyte at a time, as they may keep no more themselves. */
async function send(to: Duplex): Promise<void> {
  const piece = Buffer.alloc(1_000_000);
  for (let left = BODY_BYTES; left > 0; left -= piece.length)
    await new Promise<void>((resolve, reject) =>
      to.write(piece, (error) => (error ? reject(error) : resolve())),
    );
}

/** What comes until it has come to `pattern`. */
async function until(socket: tls.TLSSocket, pattern: RegExp): Promise<string> {
  let got = '';
  for await (const data of socket.iterator({ destroyOnReturn: false })) {
    got += data;
    if (pattern.test(got)) break;
  }
  return got;
}

test('its connection is closed when its answer is whole, also if the client stays', SOON, async () => {
  const asked = once(backend, 'connection');
  await serving(idle(NEVER_MS), async (port) => {
    const socket = connect(port);
    socket.write(`${head('/', 1_000_000)}12345`);
    const [[peer]] = await Promise.all([asked, until(socket, /\r\n\r\nno$/)]);
    await closing(peer);
    assert.equal(socket.readyState, 'open');
    socket.destroy();
    const session = connectHttp2(port);
    const again = once(backend, 'connection');
    session
      .request({ ':method': 'POST' })
      .on('error', () => undefined)
      .write('12345');
    const [other] = await again;
    await closing(other);
    assert.ok(!session.destroyed);
    session.destroy();
  });
  const streamed = once(backend2, 'stream');
  await serving(
    idle(NEVER_MS),
    async (port) => {
      const socket = connect(port);
      socket.write(`${head('/', 1_000_000)}12345`);
      const [[stream]] = await Promise.all([streamed, until(socket, /\r\n\r\nno$|\r\n0\r\n\r\n$/)]);
      await closing(stream);
      socket.destroy();
    },
    backend2,
  );
});

test('a client that reads only when it has sent everything gets it, and may go on', SOON, async () => {
  await serving(idle(NEVER_MS), async (port) => {
    const socket = connect(port).pause();
    socket.write(head('/unread', BODY_BYTES));
    await send(socket);
    assert.match(await until(socket, /\r\n\r\nno$/), /^HTTP\/1\.1 401 .*\r\nConnection: keep-alive\r\n/is);
    socket.write('GET /next HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
    assert.match(await text(socket), /^HTTP\/1\.1 401 /);
    const session = connectHttp2(port);
    const stream = session.request({ ':method': 'POST', ':path': '/unread' });
    await send(stream);
    stream.end();
    assert.equal(await text(stream), 'no');
    session.close();
  });
});

test('so does one whose connection ends with it, or that the proxy refuses', SOON, async () => {
  await serving(idle(NEVER_MS), async (port) => {
    for (const [bytes, answer] of [
      [head('/unread', BODY_BYTES, 'Connection: close\r\n'), /^HTTP\/1\.1 401 .*\r\n\r\nno$/s],
      [head('/', BODY_BYTES).replace('localhost', 'other.test'), /^HTTP\/1\.1 421 /],
    ] as const) {
      const socket = connect(port).pause();
      socket.write(bytes);
      await send(socket);
      assert.match(await text(socket), answer);
      await closing(socket);
    }
  });
});

test('there is only so much time for the rest of the request, however it drips', SOON, async () => {
  await serving(idle(LIMIT_MS), async (port) => {
    for (const fields of ['', 'Connection: close\r\n']) {
      const socket = connect(port, { allowHalfOpen: true });
      socket.write(head('/', BODY_BYTES, fields));
      const timer = setInterval(() => socket.write('x'), LIMIT_MS / 8);
      socket.resume();
      await closing(socket);
      clearInterval(timer);
    }
    const session = connectHttp2(port);
    const stream = session.request({ ':method': 'POST' });
    const timer = setInterval(() => stream.closed || stream.write('x'), LIMIT_MS / 8);
    assert.equal(await text(stream), 'no');
    await closing(stream);
    clearInterval(timer);
    assert.equal(stream.rstCode, http2.constants.NGHTTP2_NO_ERROR);
    session.close();
  });
});

test(
  'a client that leaves in the middle of the rest, or makes no sense there, has one line in the log and one answer',
  SOON,
  async () => {
    await serving(idle(NEVER_MS), async (port, proxy) => {
      const leaving = connect(port);
      leaving.write(`${head('/', 10)}12345`);
      await until(leaving, /\r\n\r\nno$/);
      leaving.end('67');
      assert.equal(await text(leaving), '');
      const senseless = connect(port);
      const chunked = head('/', 10).replace('Content-Length: 10', 'Transfer-Encoding: chunked');
      senseless.write(`${chunked}1\r\nx\r\n`);
      await until(senseless, /\r\n\r\nno$/);
      senseless.write('zz\r\n');
      assert.equal(await text(senseless), '');
      const last = connect(port);
      last.write('GET /last HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
      await text(last);
      await proxy.event('request', ({ path }) => path === '/last');
      const lines = proxy.events.filter(({ event }) => event === 'request');
      assert.deepEqual(
        lines.map(({ status, path }) => [status, path]),
        [
          [401, '/'],
          [401, '/'],
          [401, '/last'],
        ],
      );
    });
  },
);

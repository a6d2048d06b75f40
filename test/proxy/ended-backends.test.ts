/** Backends of HTTP/2 that end: between requests, before an answer, in the middle of one, and right behind one. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import { createServer, type Server, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import tls from 'node:tls';
import { closed } from '../helpers/closed.ts';
import { HostsFolder, inFrontOf, type ProxyProcess, portOf } from '../helpers/proxying.ts';

let folder: HostsFolder;
before(async () => {
  folder = await HostsFolder.make();
  await folder.add('www', ['localhost']);
});
after(() => folder.remove());

/** With a proxy in front of that backend; the time-out is what nobody may have to wait for. */
function serving(
  url: string,
  work: (port: number, proxy: ProxyProcess) => Promise<void>,
  args: readonly string[] = [],
): Promise<void> {
  return inFrontOf(url, folder, ['--backend-timeout', '5000', ...args], work);
}

function connect(port: number, settings: http2.Settings = {}): http2.ClientHttp2Session {
  const session = http2.connect(`https://localhost:${port}`, { ca: folder.authority.certPem, settings });
  return session.on('error', () => undefined);
}

async function ask(session: http2.ClientHttp2Session, method = 'GET'): Promise<number> {
  const stream = session.request({ ':path': '/', ':method': method }, { endStream: true });
  const [head] = await once(stream, 'response');
  stream.resume();
  return head[':status'];
}

/** Serves HTTP/2 on the connections of a server of TCP or TLS, which are in `sockets`. */
function serveOn(server: Server | tls.Server, event: string, sockets: Socket[]): http2.Http2Server {
  const backend = http2.createServer();
  server.on(event, (socket: Socket) => {
    sockets.push(socket.on('error', () => undefined));
    backend.emit('connection', socket);
  });
  return backend.on('sessionError', () => undefined);
}

for (const protocol of ['h2c', 'h2'])
  test(`after its connection has ended, a backend of ${protocol} is asked over another; one that is gone is 502 at once`, async () => {
    const sockets: Socket[] = [];
    const { certPem: cert, keyPem: key } = await folder.authority.issue({ type: 'p256', dns: ['localhost'] });
    const server =
      protocol === 'h2' ? tls.createServer({ cert, key, ALPNProtocols: ['h2'] }) : createServer();
    serveOn(server, protocol === 'h2' ? 'secureConnection' : 'connection', sockets).on(
      'stream',
      (stream: http2.ServerHttp2Stream) => stream.respond({ ':status': 200 }, { endStream: true }),
    );
    const url = `${protocol}://localhost:${await portOf(server)}`;
    await serving(
      url,
      async (port, proxy) => {
        const session = connect(port);
        assert.equal(await ask(session, 'POST'), 200);
        const ended = closed(sockets[0]!);
        sockets[0]!.end();
        await ended;
        assert.deepEqual([await ask(session), sockets.length], [200, 2]);
        const gone = once(server.close(), 'close');
        sockets[1]!.end();
        await gone;
        assert.equal(await ask(session), 502);
        await proxy.event('request', ({ error }) => error === 'ECONNREFUSED');
        session.close();
      },
      ['--backend-ca', folder.file('ca.crt')],
    );
  });

test('a kept connection that ends before its answer: what is idempotent is sent again, the rest is 502', async () => {
  const [attempts, sockets]: [unknown[], Socket[]] = [[], []];
  const server = createServer();
  serveOn(server, 'connection', sockets).on('stream', (stream: http2.ServerHttp2Stream, headers) => {
    const method = headers[':method'];
    attempts.push(method);
    if (method === 'OPTIONS' || attempts.length % 2 === 1)
      stream.respond({ ':status': 200 }, { endStream: true });
    else sockets.at(-1)?.destroy();
  });
  await serving(`h2c://127.0.0.1:${await portOf(server)}`, async (port) => {
    const session = connect(port);
    assert.deepEqual([await ask(session, 'OPTIONS'), await ask(session)], [200, 200]);
    assert.equal(await ask(session, 'POST'), 502);
    assert.deepEqual(attempts, ['OPTIONS', 'GET', 'GET', 'POST']);
    session.close();
  });
  server.close();
});

const [DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY] = [0, 1, 3, 4, 6, 7];
const [END_STREAM, END_HEADERS] = [1, 4];
const PREFACE_BYTES = 24;
const FRAME_HEADER_BYTES = 9;

function frame(type: number, flags: number, id: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(FRAME_HEADER_BYTES);
  head.writeUIntBE(payload.length, 0, 3);
  head.set([type, flags], 3);
  head.writeUInt32BE(id, 5);
  return Buffer.concat([head, payload]);
}

function words(...values: number[]): Buffer {
  return Buffer.concat(values.map((value) => Buffer.from([0, 0, 0, value])));
}

/** Of RFC 7541: indexed `:status` 200, and `content-length` and `trailer` as literals. */
const OK = Buffer.from([0x88]);
const OK_100 = Buffer.concat([OK, Buffer.from('\x0f\x0d\x03100', 'latin1')]);
const OK_4_AND_TRAILER = Buffer.concat([OK, Buffer.from('\x0f\x0d\x014\x00\x07trailer\x01x', 'latin1')]);
const OK_48000 = Buffer.concat([OK, Buffer.from('\x0f\x0d\x0548000', 'latin1')]);

/** Answers each request by frames of its own; @param answer is told the stream */
function framing(answer: (socket: Socket, id: number) => void): Server {
  return createServer({ allowHalfOpen: true }, (socket) => {
    let unread: Buffer = Buffer.alloc(0);
    let skip = PREFACE_BYTES;
    socket.on('error', () => undefined).write(frame(SETTINGS, 0, 0));
    socket.on('data', (data: Buffer) => {
      unread = Buffer.concat([unread, data]);
      while (unread.length >= skip + FRAME_HEADER_BYTES) {
        const bytes = FRAME_HEADER_BYTES + unread.readUIntBE(skip, 3);
        if (unread.length < skip + bytes) return;
        if (unread[skip + 3] === HEADERS) answer(socket, unread.readUInt32BE(skip + 5));
        unread = unread.subarray(skip + bytes);
        skip = 0;
      }
    });
  });
}

/** GOAWAY with `code`, of which `seen` is the last stream; which methods are sent again where a connection was kept (RFC 9113 §8.7). */
const GOAWAYS: readonly (readonly [name: string, code: number, seen: number, statuses: object])[] = [
  ['with a fault, of what it may have looked at', 2, 0, { GET: 200, POST: 502 }],
  ['with REFUSED_STREAM, of what it may have looked at', 7, 0, { GET: 200, POST: 502 }],
  ['with a fault, of what it has not looked at', 2, -2, { GET: 200, POST: 200 }],
];

for (const [name, code, seen, statuses] of GOAWAYS)
  test(`GOAWAY ${name}: a request is sent again where it may be`, async () => {
    let attempts = 0;
    const server = framing((socket, id) => {
      attempts += 1;
      // The first of each is what makes a kept connection.
      if (attempts !== 2) socket.write(frame(HEADERS, END_HEADERS | END_STREAM, id, OK));
      else socket.write(frame(GOAWAY, 0, 0, words(id + seen, code)));
    });
    await serving(`h2c://127.0.0.1:${await portOf(server)}`, async (port) => {
      const session = connect(port);
      for (const [method, status] of Object.entries(statuses)) {
        attempts = 0;
        assert.equal(await ask(session), 200);
        assert.equal(await ask(session, method), status);
        assert.equal(attempts, status === 200 ? 3 : 2);
      }
      session.close();
    });
    server.close();
  });

const ENDS: Readonly<Record<string, (socket: Socket, id: number) => unknown>> = {
  'RST_STREAM with NO_ERROR': (socket, id) => socket.write(frame(RST_STREAM, 0, id, words(0))),
  'RST_STREAM with CANCEL': (socket, id) => socket.write(frame(RST_STREAM, 0, id, words(8))),
  'RST_STREAM with INTERNAL_ERROR': (socket, id) => socket.write(frame(RST_STREAM, 0, id, words(2))),
  FIN: (socket) => socket.end(),
  'GOAWAY and FIN': (socket, id) => socket.end(frame(GOAWAY, 0, 0, words(id, 0))),
  RST: (socket) => socket.resetAndDestroy(),
};

/** All that comes on one connection for two requests; the backend ends the first answer when its half has come. */
async function readHttp1(port: number, end: () => void): Promise<string> {
  const socket = tls.connect({ port, servername: 'localhost', ca: folder.authority.certPem });
  let got = '';
  const get = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n';
  socket.on('error', () => undefined).write(get + get);
  socket.setEncoding('latin1').on('data', (data: string) => {
    got += data;
    if (data.includes('half')) end();
  });
  await new Promise((resolve) => socket.on('close', resolve));
  return got;
}

async function readHttp2(port: number, end: () => void): Promise<number> {
  const session = connect(port);
  const stream = session.request({ ':path': '/' });
  stream.on('error', () => undefined).on('data', end);
  // once() would reject for the error that comes before.
  await new Promise((resolve) => stream.on('close', resolve));
  session.close();
  return stream.rstCode;
}

for (const [how, end] of Object.entries(ENDS))
  test(`an answer that breaks off by ${how} is not told as a whole one`, async () => {
    for (const fields of [OK, OK_100, OK_4_AND_TRAILER]) {
      let endIt: () => void = () => undefined;
      const server = framing((socket, id) => {
        endIt = () => end(socket, id);
        socket.write(frame(HEADERS, END_HEADERS, id, fields));
        socket.write(frame(DATA, 0, id, Buffer.from('half')));
      });
      await serving(`h2c://127.0.0.1:${await portOf(server)}`, async (port, proxy) => {
        assert.match(await readHttp1(port, () => endIt()), /\r\n\r\n(?:4\r\nhalf\r\n|half)$/);
        assert.equal(await readHttp2(port, () => endIt()), http2.constants.NGHTTP2_INTERNAL_ERROR);
        for (const version of ['HTTP/1.1', 'HTTP/2.0']) {
          const { status, error } = await proxy.event('request', (each) => each.version === version);
          assert.equal(status, 200);
          assert.match(String(error), /^(?:ECONNRESET|ERR_HTTP2_STREAM_ERROR)$/);
        }
      });
      server.close();
    }
  });

/** What comes after the last of three pieces; as servers of Node.js 24 and 26 end some of many large answers. */
const END_BY_RESET = frame(RST_STREAM, 0, 1, words(0));

test('an answer of which all bytes have come that it announced is whole, also where its stream is reset without an error', async () => {
  const ends = ['RST_STREAM with NO_ERROR', 'RST_STREAM with CANCEL', 'GOAWAY and FIN'] as const;
  let end: (socket: Socket, id: number) => unknown;
  const server = framing((socket, id) => {
    socket.write(frame(HEADERS, END_HEADERS, id, OK_100));
    socket.write(frame(DATA, 0, id, Buffer.alloc(100, 'x')));
    end(socket, id);
  });
  await serving(`h2c://127.0.0.1:${await portOf(server)}`, async (port, proxy) => {
    const session = connect(port);
    for (const [n, how] of ends.entries()) {
      end = ENDS[how]!;
      const stream = session.request({ ':path': `/${n}` });
      let bytes = 0;
      for await (const chunk of stream) bytes += chunk.length;
      assert.deepEqual([bytes, stream.rstCode], [100, http2.constants.NGHTTP2_NO_ERROR], how);
      const { status, error } = await proxy.event('request', ({ path }) => path === `/${n}`);
      assert.deepEqual([status, error], [200, undefined], how);
    }
    session.close();
  });
  server.close();
});

for (const [how, fields, flags, end] of [
  ['END_STREAM', OK, END_STREAM, Buffer.alloc(0)],
  ['all bytes it announced, and a reset', OK_48000, 0, END_BY_RESET],
] as const)
  test(`a whole answer (${how}) whose client reads slowly is none the worse for a backend that ends behind it`, async () => {
    const body = Buffer.alloc(16_000, 'x');
    const sockets: Socket[] = [];
    const server = framing((socket, id) => {
      sockets.push(socket);
      socket.write(frame(HEADERS, END_HEADERS, id, fields));
      for (const last of [0, 0, flags]) socket.write(frame(DATA, last, id, body));
      socket.end(end);
    });
    await serving(`h2c://127.0.0.1:${await portOf(server)}`, async (port) => {
      const slow = connect(port, { initialWindowSize: 1000 });
      const stream = slow.request({ ':path': '/' });
      await once(stream, 'response');
      await closed(sockets[0]!);
      const other = connect(port);
      assert.equal(await ask(other), 200);
      other.close();
      let bytes = 0;
      for await (const chunk of stream) bytes += chunk.length;
      assert.equal(bytes, 3 * body.length);
      slow.close();
    });
    server.close();
  });

test('a connection that the backend ends before anything is asked over it is no failure of a request', async () => {
  const sockets: Socket[] = [];
  const server = framing((socket, id) => socket.write(frame(HEADERS, END_HEADERS | END_STREAM, id, OK)));
  // In one piece with its settings.
  server.prependListener('connection', (socket) => socket.cork());
  server.on('connection', (socket) => {
    sockets.push(socket);
    if (sockets.length === 1) socket.write(frame(GOAWAY, 0, 0, words(0, 0)));
    socket.uncork();
  });
  await serving(`h2c://127.0.0.1:${await portOf(server)}`, async (port) => {
    const session = connect(port);
    assert.equal(await ask(session), 200);
    assert.equal(sockets.length, 2);
    session.close();
  });
  server.close();
});

test('a backend that does not close a connection which is given up does not keep it', {
  timeout: 60_000,
}, async () => {
  const server = framing((socket, id) => {
    socket.write(frame(HEADERS, END_HEADERS, id, OK));
    socket.write(frame(DATA, 0, id, Buffer.from('half')));
  });
  const connected = once(server, 'connection');
  await serving(`h2c://127.0.0.1:${await portOf(server)}`, async (port) => {
    const session = connect(port);
    const stream = session.request({ ':path': '/' });
    stream.on('error', () => undefined);
    await once(stream, 'data');
    const [socket] = await connected;
    // Whoever has gone answers so with a reset.
    const timer = setInterval(() => socket.write(frame(PING, 1, 0, Buffer.alloc(8))), 50);
    const gone = closed(socket);
    session.destroy();
    await gone;
    clearInterval(timer);
  });
  server.close();
});

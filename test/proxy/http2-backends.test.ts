/** Backends of HTTP/2 behind `keyless-tls proxy`: what their servers ask for, and connections that fail them. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import https from 'node:https';
import { connect as connectTcp, createServer, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { closed } from '../helpers/closed.ts';
import { HostsFolder, inFrontOf, type ProxyProcess, portOf } from '../helpers/proxying.ts';

/** What a backend takes that is none of those that say nothing, also on a machine that stands still for a moment. */
const LIMIT_MS = 1500;

let folder: HostsFolder;
before(async () => {
  folder = await HostsFolder.make();
  await folder.add('www', ['localhost']);
});
after(() => folder.remove());

/** With a proxy in front of that backend. */
function serving(
  url: string,
  args: readonly string[],
  work: (port: number, proxy: ProxyProcess) => Promise<void>,
): Promise<void> {
  return inFrontOf(url, folder, args, work);
}

function connect(port: number): http2.ClientHttp2Session {
  const session = http2.connect(`https://localhost:${port}`, { ca: folder.authority.certPem });
  return session.on('error', () => undefined);
}

async function statusOf(stream: http2.ClientHttp2Stream): Promise<number> {
  const [head] = await once(stream, 'response');
  stream.resume();
  return head[':status'];
}

test('a client that takes trailers is a backend of gRPC one that does: "te: trailers", and nothing else of it', async () => {
  const asked: unknown[] = [];
  const backend = http2.createServer((request, response) => {
    asked.push(request.headers.te);
    response.end();
  });
  await serving(`h2c://127.0.0.1:${await portOf(backend)}`, [], async (port) => {
    const session = connect(port);
    assert.equal(await statusOf(session.request({ ':path': '/', te: 'trailers' })), 200);
    assert.equal(await statusOf(session.request({ ':path': '/' })), 200);
    session.close();
    for (const te of ['gzip;q=0.5, Trailers', 'gzip']) {
      const request = https.get({
        ...{ port, host: 'localhost', ca: folder.authority.certPem, agent: false },
        headers: { te, connection: 'close, te' },
      });
      const [response] = await once(request, 'response');
      await once(response.resume(), 'end');
    }
    assert.deepEqual(asked, ['trailers', undefined, 'trailers', undefined]);
  });
  backend.close();
});

/** Connections to a server pass through it, until they are swallowed; those that come later pass again. */
async function swallowing(
  port: number,
): Promise<{ port: number; count(): number; swallow(): Promise<unknown>; close(): void }> {
  const sockets: Socket[] = [];
  let [count, generation] = [0, 0];
  const relay = createServer((socket) => {
    const [own, server] = [generation, connectTcp(port, '127.0.0.1')];
    count += 1;
    for (const [from, to] of [
      [socket, server],
      [server, socket],
    ] as const) {
      sockets.push(from);
      from
        .on('error', () => undefined)
        .on('data', (data) => void (own === generation ? to.write(data) : relay.emit('swallowed')));
    }
  });
  return {
    port: await portOf(relay),
    count: () => count,
    swallow: () => {
      generation += 1;
      return once(relay, 'swallowed');
    },
    close: () => {
      relay.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

test('a connection whose other end is not there any more fails one request; the next ones go over another', async () => {
  const backend = http2.createServer((_, response) => response.end());
  const relay = await swallowing(await portOf(backend));
  const limits = ['--backend-timeout', String(LIMIT_MS)];
  await serving(`h2c://127.0.0.1:${relay.port}`, limits, async (port) => {
    const session = connect(port);
    const ask = () => statusOf(session.request({ ':path': '/' }));
    assert.deepEqual([await ask(), await ask(), relay.count()], [200, 200, 1]);
    void relay.swallow();
    assert.deepEqual([await ask(), await ask(), await ask()], [504, 200, 200]);
    assert.equal(relay.count(), 2);
    // A client that does not wait so long learns nothing; that nothing was heard since it asked tells as much.
    const swallowed = relay.swallow();
    const impatient = session.request({ ':path': '/' });
    await swallowed;
    impatient.close(http2.constants.NGHTTP2_CANCEL);
    await new Promise((resolve) => setTimeout(resolve, LIMIT_MS + 10));
    assert.deepEqual([await ask(), relay.count()], [200, 3]);
    session.close();
  });
  relay.close();
  backend.close();
});

test('a connection that becomes none, and one that says nothing, are given up for another', async () => {
  const backend = http2.createServer((_, response) => response.end());
  const server = createServer((socket) => {
    sockets.push(socket);
    if (sockets.length > 1) backend.emit('connection', socket);
  });
  const sockets: Socket[] = [];
  const limits = ['--backend-timeout', String(LIMIT_MS)];
  await serving(`h2c://127.0.0.1:${await portOf(server)}`, limits, async (port) => {
    const session = connect(port);
    assert.equal(await statusOf(session.request({ ':path': '/' })), 504);
    assert.equal(await statusOf(session.request({ ':path': '/' })), 200);
    session.close();
  });
  server.close();
  for (const socket of sockets) socket.destroy();
});

/** Answers `/`, lets `/watch` trickle and others wait; `left`: somebody watches no more. */
function watching(settings: http2.Settings = {}): http2.Http2Server {
  const server = http2.createServer({ settings }, (request, response) => {
    if (request.url === '/') response.end();
    if (request.url !== '/watch') return;
    // nodejs/node, up to 22: it would wait for the end of what is written, also when the proxy has gone.
    request.stream.on('aborted', () => request.stream.destroy());
    const timer = setInterval(() => response.write('.'), 50);
    response.on('close', () => {
      clearInterval(timer);
      server.emit('left');
    });
  });
  return server;
}

function sessionsOf(server: http2.Http2Server): http2.ServerHttp2Session[] {
  const sessions: http2.ServerHttp2Session[] = [];
  server.on('session', (session) => sessions.push(session));
  return sessions;
}

test('a request that takes too long leaves a connection that is heard of, or answers a ping, to the others', async () => {
  const backend = watching();
  const sessions = sessionsOf(backend);
  const limits = ['--backend-timeout', String(LIMIT_MS)];
  await serving(`h2c://127.0.0.1:${await portOf(backend)}`, limits, async (port) => {
    const session = connect(port);
    const ask = (path: string) => statusOf(session.request({ ':path': path }));
    // Nothing is heard while the second of them takes too long.
    assert.equal(await ask('/'), 200);
    const pinged = once(sessions[0]!, 'ping');
    assert.equal(await ask('/slow'), 504);
    await pinged;
    assert.equal(await ask('/slow'), 504, 'longer than a ping may take');
    assert.equal(await statusOf(session.request({ ':path': '/watch' })), 200);
    assert.deepEqual([await ask('/slow'), await ask('/')], [504, 200]);
    assert.deepEqual([sessions.length, sessions[0]!.destroyed], [1, false]);
    session.destroy();
  });
  backend.close();
});

test('a client that asks for more than one connection to a backend takes has others', async () => {
  const backend = watching({ maxConcurrentStreams: 4 });
  const sessions = sessionsOf(backend);
  await serving(`h2c://127.0.0.1:${await portOf(backend)}`, [], async (port) => {
    const client = connect(port);
    const watches = Array.from({ length: 40 }, () => client.request({ ':path': '/watch' }));
    assert.deepEqual(await Promise.all(watches.map(statusOf)), Array(40).fill(200));
    assert.equal(sessions.length, 10);
    client.destroy();
  });
  backend.close();
});

/** Less than a backend may take: it comes to its end while a request waits. */
const IDLE_MS = 500;

test('a connection without a request is closed, also after one without an answer, and whatever the backend sends', async () => {
  const sessions: http2.ServerHttp2Session[] = [];
  const backend = http2.createServer((request, response) => {
    if (request.url !== '/unanswered') response.end();
  });
  backend.on('session', (session) => {
    sessions.push(session);
    // One that is destroyed tells so later.
    const ping = () => session.destroyed || session.ping(() => undefined);
    const pings = setInterval(ping, IDLE_MS / 10);
    session.on('close', () => clearInterval(pings));
  });
  const limits = ['--idle-timeout', String(IDLE_MS), '--backend-timeout', String(LIMIT_MS)];
  await serving(`h2c://127.0.0.1:${await portOf(backend)}`, limits, async (port) => {
    for (const [path, status] of [
      ['/', 200],
      ['/unanswered', 504],
    ] as const) {
      const session = connect(port);
      assert.equal(await statusOf(session.request({ ':path': path })), status);
      await closed(sessions.at(-1)!);
      session.destroy();
    }
    assert.equal(sessions.length, 2);
  });
  backend.close();
});

test('where a backend takes no more connections, a request waits for one that is free', async () => {
  const backend = watching();
  backend.maxConnections = 1;
  await serving(`h2c://127.0.0.1:${await portOf(backend)}`, [], async (port) => {
    const [first, other, gone] = [connect(port), connect(port), connect(port)];
    const held = first.request({ ':path': '/slow' });
    await once(backend, 'request');
    const refused = once(backend, 'drop');
    const waiting = [other, gone].map((client) => statusOf(client.request({ ':path': '/' })));
    waiting[1]!.catch(() => undefined);
    await refused;
    gone.destroy();
    const free = once(held, 'close');
    held.close();
    await free;
    assert.equal(await waiting[0], 200);
    for (const client of [first, other]) client.destroy();
  });
  backend.close();
});

test('a backend that ends each connection after some requests answers them all', async () => {
  const backend = http2.createServer();
  backend.on('session', (session) => {
    let streams = 0;
    session.on('stream', (stream) => {
      stream.on('error', () => undefined);
      streams += 1;
      if (streams === 3) session.goaway(http2.constants.NGHTTP2_NO_ERROR, stream.id);
      if (streams > 3) stream.close(http2.constants.NGHTTP2_REFUSED_STREAM);
      else stream.respond({ ':status': 200 }, { endStream: true });
    });
  });
  const sessions = sessionsOf(backend);
  await serving(`h2c://127.0.0.1:${await portOf(backend)}`, [], async (port) => {
    const session = connect(port);
    const asked = Array.from({ length: 6 }, () => statusOf(session.request({ ':path': '/' })));
    assert.deepEqual(
      await Promise.all(asked),
      Array.from({ length: 6 }, () => 200),
    );
    assert.equal(sessions.length, 2);
    session.close();
  });
  // After GOAWAY they read no more, also not that the proxy has gone.
  for (const session of sessions) session.destroy();
  backend.close();
});

/** Resets each first attempt with that code; `attempts`: the methods, as they came. */
function resetting(code: number): { backend: http2.Http2Server; attempts: string[] } {
  const attempts: string[] = [];
  const backend = http2.createServer();
  backend.on('stream', (stream: http2.ServerHttp2Stream, headers) => {
    stream.on('error', () => undefined);
    const again = attempts.includes(String(headers[':method']));
    attempts.push(String(headers[':method']));
    if (again) stream.respond({ ':status': 200 }, { endStream: true });
    else stream.close(code);
  });
  return { backend, attempts };
}

for (const [name, statuses] of [
  ['NGHTTP2_REFUSED_STREAM', { GET: 200, POST: 200 }],
  ['NGHTTP2_ENHANCE_YOUR_CALM', { GET: 200, POST: 502 }],
  ['NGHTTP2_INTERNAL_ERROR', { GET: 502, POST: 502 }],
] as const) {
  test(`a request that is reset with ${name} is sent again where it may be`, async () => {
    const { backend, attempts } = resetting(http2.constants[name]);
    await serving(`h2c://127.0.0.1:${await portOf(backend)}`, [], async (port) => {
      const session = connect(port);
      for (const [method, status] of Object.entries(statuses)) {
        const stream = session.request({ ':path': '/', ':method': method }, { endStream: true });
        assert.equal(await statusOf(stream), status);
      }
      session.close();
    });
    const again = Object.entries(statuses).flatMap(([method, status]) =>
      status === 200 ? [method, method] : [method],
    );
    assert.deepEqual(attempts, again);
    backend.close();
  });
}

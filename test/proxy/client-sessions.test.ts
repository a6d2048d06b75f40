/** Connections of HTTP/2 to a backend are one client's at a time: what one of them, or the backend, does there is not the others' harm. */
import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import http2 from 'node:http2';
import https from 'node:https';
import { createServer, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { closed } from '../helpers/closed.ts';
import { HostsFolder, inFrontOf, portOf } from '../helpers/proxying.ts';

let folder: HostsFolder;
before(async () => {
  folder = await HostsFolder.make();
  await folder.add('www', ['localhost']);
});
after(() => folder.remove());

function connect(port: number): http2.ClientHttp2Session {
  const session = http2.connect(`https://localhost:${port}`, { ca: folder.authority.certPem });
  return session.on('error', () => undefined);
}

/** When the head has come; its body is left where it is. */
async function statusOf(stream: http2.ClientHttp2Stream): Promise<number> {
  const [head] = await once(
    stream.on('error', () => undefined),
    'response',
  );
  return head[':status'];
}

/** Of which a server of Node.js holds some 25 that clients do not read, and then refuses all further requests of their connection. */
const PAGE = Buffer.alloc(500_000, 'x');
const UNREAD = 60;

test('a client that does not read fills connections of its own, and leaves them to nobody', async () => {
  const sessions: http2.ServerHttp2Session[] = [];
  const pages: http2.ServerHttp2Stream[] = [];
  const backend = http2.createServer((request, response) => {
    request.resume();
    if (request.url === '/page') pages.push(response.stream);
    response.end(request.url === '/page' ? PAGE : 'ok');
  });
  backend.on('session', (session) => sessions.push(session));
  await inFrontOf(`h2c://127.0.0.1:${await portOf(backend)}`, folder, [], async (port) => {
    const [slow, other] = [connect(port), connect(port)];
    for (let count = 0; count < UNREAD; count += 1)
      assert.equal(await statusOf(slow.request({ ':path': '/page' })), 200, `page ${count}`);
    const filled = [...sessions];
    assert.ok(filled.length > 1 && filled.length < 6, `${filled.length} connections`);
    // A POST that finds one full is not sent again.
    const askForAll = async () => {
      for (const method of ['GET', 'POST', 'GET', 'POST']) {
        const request = other.request({ ':method': method, ':path': '/' });
        request.end();
        assert.equal(await statusOf(request), 200, method);
      }
    };
    await askForAll();
    // Node's server goes on counting what is broken off now.
    const brokenOff = pages.map((page) => closed(page));
    slow.destroy();
    await Promise.all(brokenOff);
    await askForAll();
    assert.equal(sessions.length, filled.length + 1);
    other.destroy();
  });
  backend.close();
});

const FILES = 30;
const FILE = Buffer.alloc(2_000_000, 'x');

test('a client that reads may ask for more at once than a connection to the backend holds', async () => {
  // Servers of Node.js 24 and 26 end some of so many answers by a reset where others end them by END_STREAM.
  const backend = http2.createServer((_, response) => {
    response.writeHead(200, { 'content-length': FILE.length }).end(FILE);
  });
  await inFrontOf(`h2c://127.0.0.1:${await portOf(backend)}`, folder, [], async (port) => {
    const client = connect(port);
    const files = Array.from({ length: FILES }, async () => {
      const stream = client.request({ ':path': '/' });
      assert.equal(await statusOf(stream), 200);
      let bytes = 0;
      for await (const chunk of stream) bytes += chunk.length;
      return bytes;
    });
    assert.deepEqual(await Promise.all(files), Array(FILES).fill(FILE.length));
    client.destroy();
  });
  backend.close();
});

/** Three fill a connection of a server of Node.js, by so much that it is full also when some of it has been sent. */
const LARGE_PAGE = Buffer.alloc(4_000_000, 'x');
const LARGE_PAGES = 3;

test('an answer that is broken off makes no room in a connection that is full', async () => {
  const events: http2.ServerHttp2Stream[] = [];
  const backend = http2.createServer((request, response) => {
    request.resume();
    if (request.url !== '/events') return response.end(request.url === '/page' ? LARGE_PAGE : 'ok');
    events.push(response.stream);
    response.write('event');
  });
  await inFrontOf(`h2c://127.0.0.1:${await portOf(backend)}`, folder, [], async (port) => {
    const client = connect(port);
    const leaving = client.request({ ':path': '/events' });
    assert.equal(await statusOf(leaving), 200);
    for (let count = 0; count < LARGE_PAGES; count += 1)
      assert.equal(await statusOf(client.request({ ':path': '/page' })), 200, `page ${count}`);
    assert.equal(await statusOf(client.request({ ':path': '/' })), 200);
    const brokenOff = closed(events[0]!);
    leaving.close(http2.constants.NGHTTP2_CANCEL);
    await brokenOff;
    const request = client.request({ ':method': 'POST', ':path': '/' });
    request.end();
    assert.equal(await statusOf(request), 200);
    client.destroy();
  });
  backend.close();
});

/** Fills a connection for a client that does not read, as a server of Node.js does, with one request; what has fields it does not like it refuses, too. */
function fillable(): http2.Http2Server {
  const backend = http2.createServer();
  backend.on('session', (session) => {
    let page: http2.ServerHttp2Stream | undefined;
    session.on('stream', (stream: http2.ServerHttp2Stream, headers) => {
      stream.on('error', () => undefined);
      const isFull = page !== undefined && !page.destroyed;
      if (isFull || 'x-refused' in headers) stream.close(http2.constants.NGHTTP2_ENHANCE_YOUR_CALM);
      else stream.respond({ ':status': 200 }, { endStream: headers[':path'] === '/' });
      if (isFull || headers[':path'] !== '/page') return;
      page = stream;
      stream.end(PAGE);
    });
  });
  return backend;
}

const REFUSED = 16;

test('requests that a backend refuses for what they are end nothing of others', async () => {
  const backend = fillable();
  await inFrontOf(`h2c://127.0.0.1:${await portOf(backend)}`, folder, [], async (port) => {
    const [hostile, other] = [connect(port), connect(port)];
    const reading = [other.request({ ':path': '/events' })];
    assert.equal(await statusOf(reading[0]!), 200);
    for (let count = 0; count < REFUSED; count += 1) {
      reading.push(hostile.request({ ':path': '/events' }));
      assert.equal(await statusOf(reading.at(-1)!), 200, `events ${count}`);
      const request = hostile.request({ ':method': 'POST', ':path': '/', 'x-refused': '1' });
      request.end();
      assert.equal(await statusOf(request), 502, `refused ${count}`);
    }
    assert.equal(await statusOf(other.request({ ':path': '/' })), 200);
    assert.deepEqual(
      reading.filter(({ closed }) => closed),
      [],
    );
    for (const client of [hostile, other]) client.destroy();
  });
  backend.close();
});

/** Over connections of HTTP/1.1, one for each request. */
async function overHttp1(port: number, methods: readonly string[]): Promise<void> {
  for (const method of methods) {
    const request = https.request({
      port,
      method,
      host: 'localhost',
      ca: folder.authority.certPem,
      agent: false,
    });
    const [response] = await once(request.end(), 'response');
    await once(response.resume(), 'end');
  }
}

test('a connection goes from client to client, and is kept where its answers have come to their ends', async () => {
  const sessions: http2.ServerHttp2Session[] = [];
  const events: http2.ServerHttp2Stream[] = [];
  const backend = http2.createServer((request, response) => {
    if (request.url !== '/events') return response.end('ok');
    events.push(response.stream);
    response.write('first');
  });
  backend.on('session', (session) => sessions.push(session));
  await inFrontOf(`h2c://127.0.0.1:${await portOf(backend)}`, folder, [], async (port) => {
    await overHttp1(port, ['GET', 'HEAD', 'POST', 'OPTIONS', 'GET']);
    assert.equal(sessions.length, 1);
    const [one, other] = [connect(port), connect(port)];
    assert.equal(await statusOf(one.request({ ':path': '/events' })), 200);
    assert.equal(await statusOf(other.request({ ':path': '/events' })), 200);
    assert.equal(sessions.length, 2);
    const brokenOff = closed(events[0]!);
    one.destroy();
    await brokenOff;
    assert.equal(sessions[1]!.destroyed, false);
    await overHttp1(port, ['GET']);
    assert.equal(sessions.length, 3);
    other.destroy();
  });
  backend.close();
});

test('a backend is told that nobody takes what it pushes', async () => {
  const allowed: boolean[] = [];
  const backend = http2.createServer();
  backend.on('stream', (stream: http2.ServerHttp2Stream) => {
    allowed.push(stream.pushAllowed);
    stream.respond({ ':status': 200 }, { endStream: true });
  });
  await inFrontOf(`h2c://127.0.0.1:${await portOf(backend)}`, folder, [], async (port) => {
    const session = connect(port);
    for (let count = 0; count < 2; count += 1)
      assert.equal(await statusOf(session.request({ ':path': '/' })), 200);
    session.destroy();
  });
  assert.deepEqual(allowed, [false, false]);
  backend.close();
});

const FIELDS = 500;

test('as many fields as a head of HTTP/1.1 can have pass in requests and answers of HTTP/2', async () => {
  const fields = Object.fromEntries(Array.from({ length: FIELDS }, (_, index) => [`x-${index}`, '1']));
  const countOf = (headers: object) => Object.keys(headers).filter((name) => /^x-\d/.test(name)).length;
  let asked = 0;
  const backend = http2.createServer({ maxHeaderListPairs: 1000 }, (request, response) => {
    asked = countOf(request.headers);
    response.writeHead(200, fields).end();
  });
  await inFrontOf(`h2c://127.0.0.1:${await portOf(backend)}`, folder, [], async (port) => {
    const session = http2.connect(`https://localhost:${port}`, {
      ca: folder.authority.certPem,
      maxHeaderListPairs: 1000,
    });
    const [head] = await once(session.request({ ':path': '/', ...fields }), 'response');
    assert.deepEqual([head[':status'], asked, countOf(head)], [200, FIELDS, FIELDS]);
    session.destroy();
  });
  backend.close();
});

test('a client whose connection the backend leaves without a word is given one that is free', async () => {
  const backend = http2.createServer((request, response) => {
    if (request.url === '/free') answered.then(() => response.end('ok'));
    else response.end('ok');
  });
  let answer!: () => void;
  const answered = new Promise<void>((resolve) => {
    answer = resolve;
  });
  const silent: Socket[] = [];
  const arrivals = new EventEmitter();
  let isTaken = false;
  const listener = createServer((socket) => {
    if (isTaken) {
      silent.push(socket.on('error', () => undefined));
      arrivals.emit('silent');
      return;
    }
    isTaken = true;
    backend.emit('connection', socket);
  });
  const url = `h2c://127.0.0.1:${await portOf(listener)}`;
  await inFrontOf(url, folder, ['--backend-timeout', '60000'], async (port) => {
    const clients = [connect(port), connect(port), connect(port)];
    const free = statusOf(clients[0]!.request({ ':path': '/free' }));
    await once(backend, 'stream');
    const others: Promise<number>[] = [];
    for (const client of clients.slice(1)) {
      const arrived = once(arrivals, 'silent');
      others.push(statusOf(client.request({ ':path': '/' })));
      await arrived;
    }
    answer();
    assert.deepEqual(await Promise.all([free, ...others]), [200, 200, 200]);
    // What nobody waits for any more is left for the next one.
    assert.equal(await statusOf(clients[1]!.request({ ':path': '/' })), 200);
    assert.equal(silent.length, 2);
    for (const client of clients) client.destroy();
  });
  for (const socket of silent) socket.destroy();
  listener.close();
});

/** One connection of HTTP/2 to a backend, which clients share: what one of them, or the backend, does there is not the others' harm. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
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

test('a client that does not read fills a connection to the backend, and the others get another', async () => {
  const sessions: http2.ServerHttp2Session[] = [];
  const backend = http2.createServer((request, response) => {
    request.resume();
    response.end(request.url === '/page' ? PAGE : 'ok');
  });
  backend.on('session', (session) => sessions.push(session));
  await inFrontOf(`h2c://127.0.0.1:${await portOf(backend)}`, folder, [], async (port) => {
    const [slow, other] = [connect(port), connect(port)];
    for (let count = 0; count < UNREAD; count += 1)
      assert.equal(await statusOf(slow.request({ ':path': '/page' })), 200, `page ${count}`);
    // Whose request finds it full is no client's choice: a POST that does is not sent again.
    for (const method of ['GET', 'POST', 'GET', 'POST']) {
      const request = other.request({ ':method': method, ':path': '/' });
      request.end();
      assert.equal(await statusOf(request), 200, method);
    }
    // Node's server goes on counting what is broken off now.
    const left = closed(sessions[0]!);
    slow.destroy();
    await left;
    for (let count = 0; count < 4; count += 1)
      assert.equal(await statusOf(other.request({ ':path': '/' })), 200, 'when it has left');
    assert.ok(sessions.length > 1 && sessions.length < 6, `${sessions.length} connections`);
    for (const client of [slow, other]) client.destroy();
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

const MOST_CONNECTIONS = 16;

test('where all connections that there may be are full, what nobody reads ends for those who read', async () => {
  const backend = fillable();
  await inFrontOf(`h2c://127.0.0.1:${await portOf(backend)}`, folder, [], async (port) => {
    const [slow, other] = [connect(port), connect(port)];
    const reading = other.request({ ':path': '/events' });
    assert.equal(await statusOf(reading), 200);
    const pages: http2.ClientHttp2Stream[] = [];
    for (let count = 0; count < MOST_CONNECTIONS; count += 1) {
      pages.push(slow.request({ ':path': '/page' }));
      assert.equal(await statusOf(pages[count]!), 200, `page ${count}`);
    }
    // once() would reject for the error that comes before.
    const brokenOff = new Promise((resolve) => {
      for (const page of pages) page.on('close', resolve);
    });
    assert.equal(await statusOf(other.request({ ':path': '/' })), 200);
    await brokenOff;
    assert.equal(pages.filter(({ closed }) => closed).length, 1);
    assert.equal(reading.closed, false);
    for (const client of [slow, other]) client.destroy();
  });
  backend.close();
});

test('requests that a backend refuses for what they are end nothing of others', async () => {
  const backend = fillable();
  await inFrontOf(`h2c://127.0.0.1:${await portOf(backend)}`, folder, [], async (port) => {
    const [hostile, other] = [connect(port), connect(port)];
    const reading = [other.request({ ':path': '/events' })];
    assert.equal(await statusOf(reading[0]!), 200);
    for (let count = 0; count < MOST_CONNECTIONS; count += 1) {
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

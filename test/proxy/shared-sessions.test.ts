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
    assert.ok(sessions.length > 1 && sessions.length < 6, `${sessions.length} connections`);
    for (const client of [slow, other]) client.destroy();
  });
  backend.close();
});

/** Three fill a connection of a server of Node.js, by so much that it is full also when some of it has been sent. */
const LARGE_PAGE = Buffer.alloc(4_000_000, 'x');
const LARGE_PAGES = 3;

/** A server of Node.js, and what it has begun to answer, by path. */
class FilledBackend {
  readonly server = http2.createServer((request, response) => {
    request.resume();
    const { url, stream } = request;
    this.connections.add(stream.session);
    if (url === '/') response.end('ok');
    else this.#answers.push([url, response]);
    if (url === '/page') response.end(LARGE_PAGE);
    if (url === '/events') response.writeHead(200).write('event');
  });
  readonly connections = new Set<unknown>();
  readonly #answers: [string, http2.Http2ServerResponse][] = [];

  answers(path: string): http2.Http2ServerResponse[] {
    return this.#answers.filter(([url]) => url === path).map(([, response]) => response);
  }

  /** Fills the connection that is there, so that the next one is opened. */
  async fill(slow: http2.ClientHttp2Session, other: http2.ClientHttp2Session): Promise<void> {
    for (let count = 0; count < LARGE_PAGES; count += 1)
      assert.equal(await statusOf(slow.request({ ':path': '/page' })), 200, `page ${count}`);
    assert.equal(this.connections.size, 1);
    assert.equal(await statusOf(other.request({ ':path': '/' })), 200);
    assert.equal(this.connections.size, 2);
  }
}

/** Of what is not sent again. */
function post(session: http2.ClientHttp2Session, fields: http2.OutgoingHttpHeaders = {}): Promise<number> {
  const request = session.request({ ':method': 'POST', ':path': '/', ...fields });
  request.end();
  return statusOf(request);
}

/** What Node's server had broken off it goes on counting: a connection that it has refused is never what it was. */
test('when a client that had filled a connection leaves, the requests of others are answered at once', async () => {
  const backend = new FilledBackend();
  await inFrontOf(`h2c://127.0.0.1:${await portOf(backend.server)}`, folder, [], async (port) => {
    const [slow, other] = [connect(port), connect(port)];
    const late = other.request({ ':path': '/late' });
    await once(backend.server, 'request');
    await backend.fill(slow, other);
    // Where one has come to its end there may be room.
    const ended = closed(late.resume());
    backend.answers('/late')[0]!.end('late');
    await ended;
    const left = Promise.all(backend.answers('/page').map(closed));
    slow.destroy();
    await left;
    for (let count = 0; count < 2; count += 1) assert.equal(await post(other), 200);
    for (const client of [slow, other]) client.destroy();
  });
  backend.server.close();
});

test('an answer that is broken off makes no room in a connection that is full', async () => {
  const backend = new FilledBackend();
  await inFrontOf(`h2c://127.0.0.1:${await portOf(backend.server)}`, folder, [], async (port) => {
    const [slow, other] = [connect(port), connect(port)];
    const events = [other.request({ ':path': '/events' }), other.request({ ':path': '/events' })];
    for (const each of events) assert.equal(await statusOf(each), 200);
    await backend.fill(slow, other);
    const brokenOff = closed(backend.answers('/events')[0]!);
    events[0]!.close(http2.constants.NGHTTP2_CANCEL);
    await brokenOff;
    assert.equal(await post(other), 200);
    for (const client of [slow, other]) client.destroy();
  });
  backend.server.close();
});

test('a request that Node.js refuses for the number of its fields says nothing of its connection', async () => {
  const backend = new FilledBackend();
  await inFrontOf(`h2c://127.0.0.1:${await portOf(backend.server)}`, folder, [], async (port) => {
    const client = connect(port);
    assert.equal(await statusOf(client.request({ ':path': '/events' })), 200);
    const fields = Array.from({ length: 130 }, (_, index) => [`x-${index}`, '1']);
    assert.equal(await post(client, Object.fromEntries(fields)), 502);
    assert.equal(await post(client), 200);
    assert.equal(backend.connections.size, 1);
    client.destroy();
  });
  backend.server.close();
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

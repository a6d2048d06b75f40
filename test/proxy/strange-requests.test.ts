/** Requests that no usual client writes: `keyless-tls proxy` refuses them, and none reaches its backend. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import http2 from 'node:http2';
import { after, before, test } from 'node:test';
import tls from 'node:tls';
import { type HostsFolder, type ProxyProcess, proxied } from '../helpers/proxying.ts';

let folder: HostsFolder;
let proxy: ProxyProcess;
let port: number;
let end: () => Promise<void>;
let backend: Server;
/** What the backend was asked since the last look. */
let seen: string[] = [];

before(async () => {
  backend = createServer(({ url = '' }, response) => {
    seen.push(url);
    response.end('ok');
  });
  ({ folder, proxy, port, end } = await proxied(backend));
});
after(() => end());

function look(): typeof seen {
  const all = seen;
  seen = [];
  return all;
}

const FINE = 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n';

/** Everything that comes back, however the connection ends. */
function raw(bytes: string): Promise<string> {
  const socket = tls.connect({ port, servername: 'localhost', ca: folder.authority.certPem });
  let got = '';
  socket.setEncoding('latin1').on('data', (data: string) => {
    got += data;
  });
  socket.on('error', () => undefined).write(bytes);
  return new Promise((resolve) => socket.on('close', () => resolve(got)));
}

test('requests that could be read in two ways are refused, and nothing of them reaches the backend', async () => {
  const head = 'POST / HTTP/1.1\r\nHost: localhost\r\n';
  for (const bytes of [
    `${head}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    `${head}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd`,
    `${head}Transfer-Encoding: chunked\r\n\r\nzz\r\n`,
    `${head}Content-Length: 3 \n\r\nabc`.replace('POST / HTTP/1.1\r\n', 'POST / HTTP/1.1\n'),
    `${head.replace('1.1', '1.0')}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    `${head}Host: other.test\r\n\r\n`,
    'GET /a#b HTTP/1.1\r\nHost: localhost\r\n\r\n',
    'GET https://localhost/a#b HTTP/1.1\r\nHost: localhost\r\n\r\n',
    'GET / HTTP/1.1\r\n\r\n',
    'GET https://a@localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n',
    'GET https://localhost/ HTTP/1.1\r\nHost: a@localhost\r\n\r\n',
  ]) {
    assert.match(await raw(bytes), /^HTTP\/1\.1 400 /, JSON.stringify(bytes));
  }
  for (const bytes of [
    'CONNECT localhost:22 HTTP/1.1\r\nHost: localhost\r\n\r\n',
    'TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n',
    `${head}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`,
    `${head}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
    `${head}Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n\r\n`,
    `${head}Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\nhello`,
    `${head}Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\n`,
    `${head}Connection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n\r\n`,
    `${head}Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 5\r\n\r\nhello`,
  ]) {
    assert.match(await raw(bytes), /^HTTP\/1\.1 501 /, JSON.stringify(bytes));
  }
  assert.deepEqual(look(), []);
});

test('a target may name whom it is for: that counts, not the Host, and the backend is asked as usual', async () => {
  for (const [target, host, asked] of [
    ['https://localhost/a?b=c', 'localhost', '/a?b=c'],
    ['HTTPS://LOCALHOST:8443/a', 'other.test', '/a'],
    ['https://localhost', 'localhost', '/'],
    ['https://localhost?b=https://x/', 'localhost', '/?b=https://x/'],
  ] as const) {
    const bytes = `GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;
    assert.match(await raw(bytes), /^HTTP\/1\.1 200 /, target);
    assert.deepEqual(look(), [asked]);
  }
  for (const target of ['http://localhost/', 'https://other.test/', 'https://'])
    assert.match(await raw(`GET ${target} HTTP/1.1\r\nHost: localhost\r\n\r\n`), /^HTTP\/1\.1 421 /, target);
  const options = 'OPTIONS https://localhost HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n';
  assert.match(await raw(options), /^HTTP\/1\.1 200 /);
  assert.deepEqual(look(), ['*']);
});

test('a version of HTTP that is only text is not supported, whatever the request is, and ends nobody else', async () => {
  for (const version of ['2.0', '0.9'])
    for (const [method, fields] of [
      ['GET', ''],
      ['POST', 'Content-Length: 4\r\n'],
      ['GET', 'Connection: Upgrade\r\nUpgrade: websocket\r\n'],
    ]) {
      const bytes = `${method} / HTTP/${version}\r\nHost: localhost\r\n${fields}\r\n`;
      assert.match(await raw(bytes), /^HTTP\/1\.1 505 .*\r\nConnection: close\r\n/is, JSON.stringify(bytes));
    }
  assert.deepEqual(look(), []);
  assert.match(await raw(FINE), /^HTTP\/1\.1 200 /);
  assert.deepEqual(look(), ['/']);
});

test('in a request of HTTP/1.0 the wish for another protocol says nothing', async () => {
  const wishes: (string | undefined)[] = [];
  const heard = ({ headers }: IncomingMessage) => wishes.push(headers.upgrade);
  backend.on('request', heard).on('upgrade', heard);
  for (const wish of ['websocket', 'h2c']) {
    const bytes = `GET /${wish} HTTP/1.0\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: ${wish}\r\n\r\n`;
    assert.match(await raw(bytes), /^HTTP\/1\.1 200 .*\r\nConnection: close\r\n\r\nok$/is, wish);
  }
  backend.off('request', heard).off('upgrade', heard);
  assert.deepEqual(look(), ['/websocket', '/h2c']);
  assert.deepEqual(wishes, [undefined, undefined]);
});

const statusesIn = (answers: string) =>
  [...answers.matchAll(/HTTP\/1\.1 (\d+) /g)].map(([, status]) => status);

test('nothing behind a refusal is looked at, and what is before it is answered', async () => {
  const get = (path: string, fields = '') => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${fields}\r\n`;
  const upgrade = get('/upgrade', 'Connection: Upgrade\r\nUpgrade: foo\r\n');
  const refused = 'GET /refused HTTP/1.1\r\nHost: other.test\r\n\r\n';
  for (const [bytes, statuses, asked] of [
    [get('/1') + refused + get('/2'), ['200', '421'], ['/1']],
    [refused + get('/2') + get('/3'), ['421'], []],
    [get('/1') + refused + upgrade, ['200', '421'], ['/1']],
    [`${get('/1')}CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n${get('/2')}`, ['200', '501'], ['/1']],
    [get('/1', 'Connection: close\r\n') + get('/2'), ['200'], ['/1']],
  ] as const) {
    assert.deepEqual([statusesIn(await raw(bytes)), look()], [statuses, asked], JSON.stringify(bytes));
  }
});

test('what is refused before it is a request is in the log, too', async () => {
  const told = async (bytes: string, status: number, method?: string, path?: string) => {
    const before = proxy.events.length;
    const head = new RegExp(`^HTTP/1\\.1 ${status} .*\\r\\nConnection: close\\r\\n`, 'is');
    assert.match(await raw(bytes), head, bytes);
    const { host, client, error } = await proxy.event(
      'request',
      (each) =>
        each.status === status &&
        each.method === method &&
        each.path === path &&
        proxy.events.indexOf(each) >= before,
    );
    assert.deepEqual([host, client, error], ['www', '127.0.0.1', undefined], bytes);
  };
  const post = 'POST /p HTTP/1.1\r\nHost: localhost\r\n';
  await told('NONE /p HTTP/1.1\r\nHost: localhost\r\n\r\n', 400);
  await told(`GET /p HTTP/1.1\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, 431);
  await told('GET /p HTTP/1.1\r\n\r\n', 400, 'GET', '/p');
  await told(`${post}Expect: much\r\n\r\n`, 417, 'POST', '/p');
  await told(`${post}Transfer-Encoding: chunked\r\n\r\nzz\r\n`, 400, 'POST', '/p');
  assert.deepEqual(look(), []);
});

test('OPTIONS counts who passes it on, and ends where it may go no further', async () => {
  const forwards: (string | undefined)[] = [];
  const heard = ({ headers }: IncomingMessage) =>
    forwards.push(headers['max-forwards'] as string | undefined);
  backend.on('request', heard);
  for (const [method, left] of [
    ['OPTIONS', '0'],
    ['OPTIONS', '1'],
    ['OPTIONS', 'x'],
    ['GET', '0'],
  ]) {
    const bytes = `${method} / HTTP/1.1\r\nHost: localhost\r\nMax-Forwards: ${left}\r\nConnection: close\r\n\r\n`;
    assert.match(await raw(bytes), /^HTTP\/1\.1 200 /, bytes);
  }
  assert.equal(await statusOf({ ':method': 'OPTIONS', ':path': '*', 'max-forwards': '0' }), 200);
  backend.off('request', heard);
  look();
  assert.deepEqual(forwards, ['0', 'x', '0']);
});

/** Over HTTP/2. */
async function statusOf(fields: http2.OutgoingHttpHeaders): Promise<number> {
  const session = http2.connect(`https://localhost:${port}`, { ca: folder.authority.certPem });
  try {
    const stream = session.request(fields, { endStream: true });
    const [head] = await once(stream, 'response');
    stream.resume();
    return head[':status'];
  } finally {
    session.close();
  }
}

test('CONNECT is refused, and in the log, over both versions', async () => {
  await raw('CONNECT localhost:22 HTTP/1.1\r\nHost: localhost\r\n\r\n');
  assert.equal(await statusOf({ ':method': 'CONNECT', ':authority': 'localhost:22' }), 501);
  for (const version of ['HTTP/1.1', 'HTTP/2.0']) {
    const { status } = await proxy.event(
      'request',
      (each) => each.method === 'CONNECT' && each.version === version,
    );
    assert.equal(status, 501);
  }
});

test('over HTTP/2, TRACE and CONNECT are refused however they are written, and so is another scheme', async () => {
  for (const method of ['TRACE', 'trace', 'Trace', 'connect'])
    assert.equal(await statusOf({ ':method': method, ':path': '/' }), 501, method);
  for (const scheme of ['http', 'ftp']) assert.equal(await statusOf({ ':scheme': scheme }), 421, scheme);
  assert.deepEqual(look(), []);
  assert.equal(await statusOf({ ':scheme': 'HTTPS' }), 200);
  assert.deepEqual(look(), ['/']);
});

/** Answers that `keyless-tls proxy` cannot pass on as they are, and heads that it passes on as they are. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import https from 'node:https';
import { createServer, type Server } from 'node:net';
import { after, before, test } from 'node:test';
import tls from 'node:tls';
import { type HostsFolder, proxied } from '../helpers/proxying.ts';

let folder: HostsFolder;
let port: number;
let end: () => Promise<void>;
let backend: Server;
/** What the backend says next, and what it was asked last. */
let words = '';
let asked = '';

before(async () => {
  backend = createServer((socket) => {
    let got = '';
    socket
      .on('error', () => undefined)
      .on('data', (data) => {
        got += data.toString('latin1');
        if (!got.includes('\r\n\r\n')) return;
        asked = got;
        socket.end(words, 'latin1');
      });
  });
  ({ folder, port, end } = await proxied(backend));
});
after(() => end());

async function statusOverHttp1(headers: readonly string[] = []): Promise<number> {
  const options = { port, host: 'localhost', ca: folder.authority.certPem, agent: false };
  const request = https.get({ ...options, headers: ['Host', 'localhost', ...headers] });
  const [response] = await once(request, 'response');
  response.resume();
  return response.statusCode;
}

async function statusOverHttp2(fields: http2.OutgoingHttpHeaders = {}): Promise<number> {
  const session = http2.connect(`https://localhost:${port}`, { ca: folder.authority.certPem });
  const stream = session.request({ ':path': '/', ...fields }, { endStream: true });
  try {
    const [head] = await once(stream, 'response');
    await once(stream.resume(), 'end');
    return head[':status'];
  } finally {
    session.close();
  }
}

for (const [what, answer, overBoth] of [
  [
    'a status that HTTP/2 does not know',
    'HTTP/1.1 999 No\r\nSet-Cookie: a=1\r\nContent-Length: 2\r\n\r\nok',
    [999, 502],
  ],
  ['a status that is none', 'HTTP/1.1 099 No\r\nContent-Length: 2\r\n\r\nok', [502, 502]],
  [
    'a body coded as nobody asked for',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n',
    [502, 502],
  ],
  ['no content, and its length', 'HTTP/1.1 204 No\r\nContent-Length: 2\r\n\r\nok', [204, 204]],
  [
    'trailers of its own connection',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nConnection: x\r\nTE: y\r\nKeep-Alive: z\r\n\r\n',
    [200, 200],
  ],
  ['a change to no protocol', 'HTTP/1.1 101 S\r\n\r\n', [502, 502]],
  ['content that must not be', 'HTTP/1.1 205 No\r\nContent-Length: 2\r\n\r\nok', [205, 205]],
] as const) {
  test(`a backend answers with ${what}: the client is told, and the proxy goes on`, async () => {
    words = answer;
    assert.deepEqual([await statusOverHttp1(), await statusOverHttp2()], overBoth);
    words = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
    assert.equal(await statusOverHttp1(), 200);
  });
}

test('of thousands of fields none is left out', async () => {
  const fields = Array.from({ length: 2_500 }, () => ['a', '']).flat();
  assert.equal(await statusOverHttp1([...fields, 'last', 'here']), 200);
  assert.match(asked, /^last: here\r$/im);
});

test('a method reaches the backend as its client wrote it: in small letters it is another one', async () => {
  words = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
  for (const method of ['get', 'Delete', 'head', 'DELETE', 'other']) {
    assert.equal(await statusOverHttp2({ ':method': method }), 200, method);
    assert.equal(asked.split(' ')[0], method);
  }
});

test('an upgrade is answered with a change to no protocol, or a coded refusal: the client is told', async () => {
  for (const each of ['101 S\r\n', '403 No\r\nTransfer-Encoding: gzip, chunked\r\n']) {
    words = `HTTP/1.1 ${each}\r\n`;
    assert.equal(await statusOverHttp1(['Connection', 'Upgrade', 'Upgrade', 'foo']), 502, each);
  }
});

test('a change of protocol that HTTP/1.0 cannot ask for is a failure of the backend', async () => {
  words = 'HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n';
  const socket = tls.connect({ port, servername: 'localhost', ca: folder.authority.certPem });
  socket.write('GET / HTTP/1.0\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n');
  assert.match((await socket.setEncoding('latin1').toArray()).join(''), /^HTTP\/1\.1 502 /);
});

test('a 205 has no body, whatever the backend sends behind it', async () => {
  words = 'HTTP/1.1 205 Reset Content\r\nContent-Length: 5\r\n\r\nabcde';
  const options = { port, host: 'localhost', ca: folder.authority.certPem, agent: false };
  const [response] = await once(https.get(options), 'response');
  assert.equal(response.statusCode, 205);
  assert.deepEqual(await response.toArray(), []);
  assert.equal(await statusOverHttp2(), 205);
});

test('links of early hints come before the answer, and hints that are none do no harm', async () => {
  const early =
    'HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload, </b.js>; rel=preload\r\nX-Other: 1\r\n\r\n';
  const strange = 'HTTP/1.1 103 Early Hints\r\nLink: no link\r\n\r\n';
  words = `${early}${strange}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok`;
  const hints: unknown[] = [];
  const options = { port, host: 'localhost', ca: folder.authority.certPem, agent: false };
  const request = https.get(options);
  request.on('information', ({ statusCode, headers }) =>
    hints.push([statusCode, headers.link, headers['x-other']]),
  );
  const [response] = await once(request, 'response');
  await once(response.resume(), 'end');
  const session = http2.connect(`https://localhost:${port}`, { ca: folder.authority.certPem });
  const stream = session.request({ ':path': '/' });
  stream.on('headers', (headers) => hints.push([headers[':status'], headers.link, headers['x-other']]));
  await once(stream, 'response');
  await once(stream.resume(), 'end');
  session.close();
  const links = '</a.css>; rel=preload, </b.js>; rel=preload';
  assert.deepEqual(hints, [
    [103, links, undefined],
    [103, links, undefined],
  ]);
});

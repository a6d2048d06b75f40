/** Requests that a client of `keyless-tls proxy` sends over HTTP/1.1 without waiting for answers: one after the other. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { after, afterEach, before, test } from 'node:test';
import tls from 'node:tls';
import { closed } from '../helpers/closed.ts';
import { HostsFolder, ProxyProcess, portOf } from '../helpers/proxying.ts';

let folder: HostsFolder;
let proxy: ProxyProcess;
let port: number;
let backend: Server;
/** What the backend does with a request, and what it was asked. */
let answer: (request: IncomingMessage, response: ServerResponse) => unknown;
let seen: string[] = [];
let [underWay, most] = [0, 0];
const connections = new Set<Socket>();

const echo: typeof answer = async (request, response) => response.end(`<${await text(request)}>`);

before(async () => {
  folder = await HostsFolder.make();
  await folder.add('www', ['localhost']);
  backend = createServer((request, response) => {
    seen.push(`${request.method} ${request.url}`);
    underWay += 1;
    most = Math.max(most, underWay);
    response.on('close', () => {
      underWay -= 1;
    });
    answer(request, response);
  });
  backend.on('connection', (socket) => connections.add(socket));
  const url = `http://127.0.0.1:${await portOf(backend)}`;
  proxy = new ProxyProcess(folder, ['--backend', url, '--backend-timeout', '60000']);
  port = await proxy.port();
});
afterEach(() => {
  [answer, seen, most] = [echo, [], 0];
  connections.clear();
});
after(async () => {
  assert.equal(await proxy.end(), 0, proxy.stderr);
  backend.closeAllConnections();
  backend.close();
  folder.remove();
});
answer = echo;

function connect(): tls.TLSSocket {
  const socket = tls.connect({ port, servername: 'localhost', ca: folder.authority.certPem });
  return socket.on('error', () => undefined);
}

const head = (line: string, fields = '') => `${line} HTTP/1.1\r\nHost: localhost\r\n${fields}\r\n`;
const withLength = (line: string, body: string) => head(line, `Content-Length: ${body.length}\r\n`) + body;
const chunked = (line: string, chunks: readonly string[], trailers = '') =>
  head(line, 'Transfer-Encoding: chunked\r\n') +
  chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join('') +
  `0\r\n${trailers}\r\n`;
const LAST = head('GET /last', 'Connection: close\r\n');

/** Bodies of what comes back until the connection ends. */
async function bodies(pieces: Iterable<string>): Promise<string[]> {
  const socket = connect();
  const all = text(socket);
  for (const piece of pieces) await new Promise<void>((resolve) => void socket.write(piece, () => resolve()));
  return [...(await all).matchAll(/<(.*?)>/gs)].map(([, body]) => body!);
}

test('each request is asked when the one before is answered, in the order in which they came', async () => {
  answer = (request, response) => setTimeout(() => echo(request, response), request.url === '/1' ? 200 : 0);
  const all = [withLength('POST /1', 'debit'), withLength('POST /2', 'close'), head('DELETE /3'), LAST];
  assert.deepEqual(await bodies([all.join('')]), ['debit', 'close', '', '']);
  assert.deepEqual(seen, ['POST /1', 'POST /2', 'DELETE /3', 'GET /last']);
  assert.equal(most, 1);
});

test('thousands at once are answered over one connection to the backend, and each is told of', async () => {
  const count = 3000;
  assert.equal((await bodies([head('GET /').repeat(count) + LAST])).length, count + 1);
  assert.deepEqual([most, connections.size > 1], [1, false]);
  const told = () => proxy.events.filter(({ event }) => event === 'request').length;
  await proxy.event('request', () => told() > count);
});

test('bodies that look like heads, whole and byte by byte', async () => {
  const fake = `\n\r\n\n\r\n\r\n${head('GET /smuggled')}`;
  const all = [
    withLength('POST /1', fake),
    chunked('POST /2', ['\r\n\r\n', fake, '\n\n'], 'X-Trailer: 1\r\n'),
    '\r\n',
    chunked('POST /3', []),
    withLength('POST /4', ''),
    LAST,
  ].join('');
  const expected = [fake, `\r\n\r\n${fake}\n\n`, '', '', ''];
  for (const pieces of [[all], all]) assert.deepEqual(await bodies(pieces), expected);
  assert.ok(!seen.includes('GET /smuggled'));
  assert.equal(most, 1);
});

for (const [what, fields] of [
  ['', ''],
  [', also if it says that it has no body', 'Content-Length: 0\r\n'],
] as const)
  test(`an upgrade waits for the answers before it, and what comes behind it is for the new protocol${what}`, async () => {
    const upgraded = new Promise<[Socket, Buffer]>((resolve) =>
      backend.once('upgrade', (_, socket: Socket, first: Buffer) => resolve([socket, first])),
    );
    const socket = connect();
    socket.write(
      `${withLength('POST /1', 'x')}${head('GET /2', `Connection: Upgrade\r\nUpgrade: foo\r\n${fields}`)}one\r\n\r\ntwo`,
    );
    const [peer] = await upgraded;
    assert.deepEqual([seen, underWay], [['POST /1'], 0]);
    peer.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n');
    socket.on('data', (data) => {
      if (String(data).includes(' 101 ')) socket.end(' three');
    });
    assert.equal(await text(peer), 'one\r\n\r\ntwo three');
    peer.end();
    await once(socket, 'close');
  });

test('a client that goes takes what is asked with it, and what comes behind is never asked', async () => {
  const asked = new Promise<IncomingMessage>((resolve) => {
    answer = resolve;
  });
  const socket = connect();
  socket.write(head('GET /1') + head('GET /2') + LAST);
  const gone = closed((await asked).socket);
  socket.destroy();
  await gone;
  answer = echo;
  await bodies([head('GET /other') + LAST]);
  assert.deepEqual(seen, ['GET /1', 'GET /other', 'GET /last']);
});

/** What a backend says when it changes the protocol, and what both ends have said by then. */
import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:net';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import tls from 'node:tls';
import { type HostsFolder, type ProxyProcess, proxied } from '../helpers/proxying.ts';

let folder: HostsFolder;
let proxy: ProxyProcess;
let port: number;
let end: () => Promise<void>;
let backend: Server;
let words = '';
let asked: Promise<string>;

before(async () => {
  backend = createServer((socket) => {
    socket.on('error', () => undefined).once('data', () => socket.end(words));
    asked = text(socket);
  });
  ({ folder, proxy, port, end } = await proxied(backend));
});
after(() => end());

test('fields between neighbours end at the proxy, and what comes with both heads is passed on and counted', async () => {
  words = [
    'HTTP/1.1 101 Foo',
    'upgrade: foo',
    'CONNECTION: upgrade, x-hop',
    ...['X-Hop: 1', 'Keep-Alive: timeout=5', 'Proxy-Authenticate: Basic'],
    ...['Set-Cookie: a=1', 'X-Own: kept', 'Set-Cookie: b=2'],
    '\r\nfirst words',
  ].join('\r\n');
  const socket = tls.connect({ port, servername: 'localhost', ca: folder.authority.certPem });
  socket.write('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\nsent ahead');
  const [head, rest] = (await text(socket)).split('\r\n\r\n');
  assert.deepEqual(head?.split('\r\n'), [
    ...['HTTP/1.1 101 Switching Protocols', 'Connection: Upgrade', 'Upgrade: foo'],
    ...['Set-Cookie: a=1', 'X-Own: kept', 'Set-Cookie: b=2'],
  ]);
  assert.equal(rest, 'first words');
  assert.match(await asked, /\r\n\r\nsent ahead$/);
  const { status, bytes } = await proxy.event('upgrade');
  assert.deepEqual([status, bytes], [101, 'first words'.length]);
});

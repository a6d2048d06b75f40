/** Whom a request names, in all the forms that a client can write, where unknown names get a host, too: `--default-host`. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import http2 from 'node:http2';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import tls from 'node:tls';
import { type HostsFolder, proxied } from '../helpers/proxying.ts';

let folder: HostsFolder;
let port: number;
let end: () => Promise<void>;
let backend: Server;
/** Each `Host` that the backend has read since the last look. */
let hosts: (string | undefined)[] = [];

before(async () => {
  backend = createServer(({ headers: { host } }, response) => {
    hosts.push(host);
    response.end('ok');
  });
  ({ folder, port, end } = await proxied(backend, ['--default-host', 'www'], {
    www: 'localhost',
    other: 'other.test',
  }));
});
after(() => end());

function look(): typeof hosts {
  const all = hosts;
  hosts = [];
  return all;
}

async function statusOf(head: string, servername = 'localhost'): Promise<number> {
  const options = { port, host: '127.0.0.1', servername, rejectUnauthorized: false };
  const socket = tls.connect(options);
  socket.write(`${head}Connection: close\r\n\r\n`);
  return Number(/^HTTP\/1\.1 (\d+)/.exec(await text(socket))?.[1]);
}

/** Over both versions. What nghttp2 does not take of an `:authority` is a bad request, too. */
async function statusesFor(authority: string): Promise<number[]> {
  const over1 = await statusOf(`GET / HTTP/1.1\r\nHost: ${authority}\r\n`);
  const session = http2.connect(`https://localhost:${port}`, { ca: folder.authority.certPem });
  const stream = session.request({ ':authority': authority });
  const over2 = await once(stream, 'response').then(
    ([head]) => head[':status'],
    () => (stream.rstCode === http2.constants.NGHTTP2_PROTOCOL_ERROR ? 400 : stream.rstCode),
  );
  stream.resume();
  session.close();
  return [over1, over2];
}

const OF_ANOTHER = ['other.test', 'other.test:443', 'other.test:', 'other.test:000443', 'OTHER.test.'];
const OF_NOBODY = [
  ...['u@other.test', 'other.test/', 'other.test?', 'other.test#', 'other.test\\', 'other.test..'],
  ...['%6fther.test', 'other.test,localhost', 'localhost, other.test', 'a b', 'u:p@localhost'],
  ...['localhost:99999', 'localhost:4x', 'localhost:1:2', '[::1', '[1.2.3.4]', '[::1]x', ':443', '*.test'],
];
const OF_THE_DEFAULT_HOST = [
  'localhost',
  'localhost:',
  'localhost:8443',
  'unknown.test',
  '127.0.0.1',
  '[::1]:443',
];

test("another host's name is misdirected in each of its forms", async () => {
  for (const authority of OF_ANOTHER) assert.deepEqual(await statusesFor(authority), [421, 421], authority);
  assert.deepEqual(look(), []);
});

test('what is no name, no address, or has more than a port behind it, is refused', async () => {
  for (const authority of OF_NOBODY) assert.deepEqual(await statusesFor(authority), [400, 400], authority);
  assert.equal(await statusOf('GET / HTTP/1.1\r\nHost: \r\n'), 400);
  assert.deepEqual(look(), []);
});

test('a name without a host, and an address, are for the default host, and reach it as they are written', async () => {
  for (const authority of OF_THE_DEFAULT_HOST) {
    assert.deepEqual(await statusesFor(authority), [200, 200], authority);
    assert.deepEqual(look(), [authority, authority]);
  }
});

test('HTTP/1.0 needs no Host: its connection says whom it is for', async () => {
  assert.equal(await statusOf('GET / HTTP/1.0\r\n'), 200);
  assert.equal(await statusOf('GET / HTTP/1.0\r\n', ''), 200);
  assert.equal(await statusOf('GET / HTTP/1.0\r\n', 'other.test'), 200);
  assert.equal(await statusOf('GET / HTTP/1.0\r\nHost: other.test\r\n'), 421);
  assert.equal(await statusOf('GET / HTTP/1.0\r\nHost: a b\r\n'), 400);
  assert.equal(await statusOf('GET / HTTP/1.0\r\nHost: localhost\r\nHost: localhost\r\n'), 400);
  assert.deepEqual(look(), ['localhost', '127.0.0.1', 'other.test']);
});

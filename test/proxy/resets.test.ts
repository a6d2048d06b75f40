/** A backend that resets its connection in the middle of an answer which ends with that: half of it is not taken for whole. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import { createServer, type Server, type Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { after, before, test } from 'node:test';
import tls from 'node:tls';
import { type HostsFolder, type ProxyProcess, proxied } from '../helpers/proxying.ts';

let folder: HostsFolder;
let proxy: ProxyProcess;
let port: number;
let end: () => Promise<void>;
let backend: Server;
/** Its connection, when it has been asked. */
let asked: Promise<Socket>;

before(async () => {
  backend = createServer((socket) => {
    asked = once(
      socket.on('error', () => undefined),
      'data',
    ).then(() => {
      socket.write('HTTP/1.1 200 OK\r\n\r\nhalf of it');
      return socket;
    });
  });
  ({ folder, proxy, port, end } = await proxied(backend));
});
after(() => end());

/** Everything that comes; the backend resets when its half has. */
async function readAll(stream: Readable): Promise<string> {
  let got = '';
  stream.setEncoding('latin1').on('data', async (data: string) => {
    const first = !got.includes('half of it');
    got += data;
    if (first && got.includes('half of it')) (await asked).resetAndDestroy();
  });
  await new Promise((resolve) => stream.on('close', resolve));
  return got;
}

async function told(version: string): Promise<void> {
  const { status, error } = await proxy.event('request', (each) => each.version === version);
  assert.deepEqual([status, error], [200, 'ECONNRESET'], version);
}

for (const version of ['HTTP/1.0', 'HTTP/1.1'])
  test(`over ${version} its end does not come`, async () => {
    const socket = tls.connect({ port, servername: 'localhost', ca: folder.authority.certPem });
    socket.on('error', () => undefined).write(`GET / ${version}\r\nHost: localhost\r\n\r\n`);
    assert.match(await readAll(socket), /\r\n\r\n(?:a\r\nhalf of it\r\n|half of it)$/);
    await told(version);
  });

test('over HTTP/2 the stream is reset', async () => {
  const session = http2.connect(`https://localhost:${port}`, { ca: folder.authority.certPem });
  const stream = session.request({ ':path': '/' });
  stream.on('error', () => undefined);
  assert.equal(await readAll(stream), 'half of it');
  assert.equal(stream.rstCode, http2.constants.NGHTTP2_INTERNAL_ERROR);
  session.close();
  await told('HTTP/2.0');
});

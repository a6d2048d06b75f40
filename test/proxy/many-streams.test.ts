/** Strangers whose connections of HTTP/2 ask for as much at once as they may, in front of backends whose connections have one request. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import type { Server } from 'node:net';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import tls from 'node:tls';
import { HostsFolder, ProxyProcess, portOf } from '../helpers/proxying.ts';

const OPEN_FILES = 200;
/** Connections to the backend, beyond one for each client. */
const STOCK = OPEN_FILES / 4;
const STRANGERS = 10;
const STREAMS = 128;

let folder: HostsFolder;
before(async () => {
  folder = await HostsFolder.make();
  await folder.add('www', ['localhost']);
});
after(() => folder.remove());

/** Answers GET, and reads the rest. */
function answer(
  request: http.IncomingMessage | http2.Http2ServerRequest,
  response: http.ServerResponse | http2.Http2ServerResponse,
): void {
  if (request.method === 'GET') response.end('ok');
  else request.resume();
}

const BACKENDS: Readonly<Record<string, () => Server>> = {
  http: () => http.createServer(answer),
  h2c: () => http2.createServer({ settings: { maxConcurrentStreams: 1 } }, answer),
};

function connect(port: number): http2.ClientHttp2Session {
  const session = http2.connect(`https://localhost:${port}`, { ca: folder.authority.certPem });
  return session.on('error', () => undefined);
}

/** Uploads that never end. */
async function upload(session: http2.ClientHttp2Session): Promise<void> {
  for (let count = 0; count < STREAMS; count += 1)
    session
      .request({ ':method': 'POST' })
      .on('error', () => undefined)
      .write('a');
  // The proxy has read them.
  await new Promise<void>((resolve) => session.ping(() => resolve()));
}

async function statusOver(session: http2.ClientHttp2Session): Promise<number> {
  const stream = session.request({ ':path': '/' });
  const [head] = await once(stream, 'response');
  await once(stream.resume(), 'end');
  return head[':status'];
}

async function answerTo(port: number): Promise<string> {
  const socket = tls.connect({ port, servername: 'localhost', ca: folder.authority.certPem });
  socket.write('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
  return text(socket);
}

for (const [scheme, make] of Object.entries(BACKENDS))
  test(`they take a stock of connections to a backend of ${scheme}, and no more: everybody else is served`, async () => {
    const backend = make();
    const url = `${scheme}://127.0.0.1:${await portOf(backend)}`;
    const args = ['--backend', url, '--max-connections', '50', '--backend-timeout', '3000'];
    const proxy = new ProxyProcess(folder, args, undefined, OPEN_FILES);
    const port = await proxy.port();
    const strangers = Array.from({ length: STRANGERS }, () => connect(port));
    await Promise.all(strangers.map(upload));
    assert.match(await answerTo(port), /^HTTP\/1\.1 200 /);
    const guest = connect(port);
    assert.deepEqual(
      await Promise.all(Array.from({ length: 20 }, () => statusOver(guest))),
      Array(20).fill(200),
    );
    const open = await new Promise<number>((resolve) => backend.getConnections((_, count) => resolve(count)));
    assert.ok(open <= STRANGERS + STOCK + 2, `${open} connections`);
    const { status, error } = await proxy.event('request', (each) => each.method === 'POST');
    assert.deepEqual([status, error], [504, 'timeout'], 'who waits in vain is told');
    assert.equal(proxy.events.filter(({ reason }) => /EMFILE|ENFILE/.test(String(reason))).length, 0);
    for (const session of [guest, ...strangers]) session.destroy();
    assert.equal(await proxy.end(), 0);
    backend.close();
  });

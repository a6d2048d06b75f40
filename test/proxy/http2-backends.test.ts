/** Backends of HTTP/2 behind `keyless-tls proxy`: what their servers ask for, and connections that fail them. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import https from 'node:https';
import { after, before, test } from 'node:test';
import { HostsFolder, ProxyProcess, portOf } from '../helpers/proxying.ts';

let folder: HostsFolder;
before(async () => {
  folder = await HostsFolder.make();
  await folder.add('www', ['localhost']);
});
after(() => folder.remove());

/** With a proxy in front of that backend. */
async function serving(
  url: string,
  args: readonly string[],
  work: (port: number, proxy: ProxyProcess) => Promise<void>,
): Promise<void> {
  const proxy = new ProxyProcess(folder, ['--backend', url, ...args]);
  try {
    await work(await proxy.port(), proxy);
  } finally {
    assert.equal(await proxy.end(), 0, proxy.stderr);
  }
}

function connect(port: number): http2.ClientHttp2Session {
  const session = http2.connect(`https://localhost:${port}`, { ca: folder.authority.certPem });
  return session.on('error', () => undefined);
}

async function statusOf(stream: http2.ClientHttp2Stream): Promise<number> {
  const [head] = await once(stream, 'response');
  stream.resume();
  return head[':status'];
}

test('a client that takes trailers is a backend of gRPC one that does: "te: trailers", and nothing else of it', async () => {
  const asked: unknown[] = [];
  const backend = http2.createServer((request, response) => {
    asked.push(request.headers.te);
    response.end();
  });
  await serving(`h2c://127.0.0.1:${await portOf(backend)}`, [], async (port) => {
    const session = connect(port);
    assert.equal(await statusOf(session.request({ ':path': '/', te: 'trailers' })), 200);
    assert.equal(await statusOf(session.request({ ':path': '/' })), 200);
    session.close();
    for (const te of ['gzip;q=0.5, Trailers', 'gzip']) {
      const request = https.get({
        ...{ port, host: 'localhost', ca: folder.authority.certPem, agent: false },
        headers: { te, connection: 'close, te' },
      });
      const [response] = await once(request, 'response');
      await once(response.resume(), 'end');
    }
    assert.deepEqual(asked, ['trailers', undefined, 'trailers', undefined]);
  });
  backend.close();
});

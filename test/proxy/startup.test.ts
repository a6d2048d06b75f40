/** `keyless-tls proxy` where no key server can be reached: it ends before it listens, or serves whose keys it has. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { createServer, type Server } from 'node:net';
import { text } from 'node:stream/consumers';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import tls from 'node:tls';
import { makeStub } from '../../lib/wrap/stub.ts';
import type { Issued } from '../helpers/certificates.ts';
import { HostsFolder, ProxyProcess, portOf } from '../helpers/proxying.ts';

let folder: HostsFolder;
let echo: Server;
let backend: readonly string[];
let stubbed: Issued;
before(async () => {
  echo = createServer((socket) => void socket.on('error', () => undefined).pipe(socket));
  backend = ['--backend', `tcp://127.0.0.1:${await portOf(echo)}`];
});
beforeEach(async () => {
  folder = await HostsFolder.make();
  await folder.add('own', ['own.test']);
  stubbed = await folder.authority.issue({ type: 'p256', dns: ['stub.test'] });
  const edge = await folder.authority.issue({ type: 'p256', usage: 'client' });
  writeFileSync(folder.file('edge.crt'), edge.certPem);
  writeFileSync(folder.file('edge.key'), edge.keyPem, { mode: 0o600 });
});
afterEach(() => folder.remove());
after(() => echo.close());

function addStub(): void {
  folder.put('stub', { certPem: stubbed.certPem, keyPem: makeStub(new X509Certificate(stubbed.certPem)) });
}

function start(startup: 'wait' | 'fail', more: readonly string[] = []): ProxyProcess {
  return new ProxyProcess(folder, [...backend, ...more], {
    ...process.env,
    KEYLESS_TLS_SERVERS: '127.0.0.1:1',
    KEYLESS_TLS_CERT: folder.file('edge.crt'),
    KEYLESS_TLS_KEY: folder.file('edge.key'),
    KEYLESS_TLS_CA: folder.file('ca.crt'),
    KEYLESS_TLS_STARTUP: startup,
  });
}

async function visit(port: number, servername: string): Promise<string> {
  const socket = tls.connect({ port, host: '127.0.0.1', servername, ca: folder.authority.certPem });
  socket.write('x');
  try {
    const [data] = await once(socket, 'data');
    return String(data);
  } catch (error) {
    return String((error as NodeJS.ErrnoException).code);
  } finally {
    socket.destroy();
  }
}

/** The host with the stub fails, and is told of; the other is served. */
async function servesItsOwn(proxy: ProxyProcess, port: number): Promise<void> {
  assert.match(await visit(port, 'stub.test'), /ALERT_INTERNAL_ERROR|EPROTO|ECONNRESET/);
  const { client, host, why } = await proxy.event(
    'refused',
    ({ reason }) => reason === 'ERR_KEYLESS_NO_KEY_SERVER',
  );
  assert.deepEqual([client, host], ['127.0.0.1', 'stub']);
  assert.match(String(why), /key server/i);
  assert.equal(await visit(port, 'own.test'), 'x');
  assert.equal(await proxy.end(), 0);
}

test('with startup "fail" it ends before it listens, and says why in one line', async () => {
  addStub();
  const proxy = start('fail');
  assert.equal(await proxy.ended, 1);
  assert.match(
    proxy.stderr,
    /^keyless-tls: No key server can be reached\. .*\[ERR_KEYLESS_NO_KEY_SERVER\]\n$/,
  );
  assert.equal(
    proxy.events.some(({ event }) => event === 'listening'),
    false,
  );
});

test('with startup "wait" it serves the hosts whose keys it has', async () => {
  addStub();
  const proxy = start('wait');
  await servesItsOwn(proxy, await proxy.port());
});

test('a first stub that comes when it runs ends nothing, whatever the startup', async () => {
  const proxy = start('fail');
  const port = await proxy.port();
  addStub();
  await proxy.event('host', ({ host }) => host === 'stub');
  await servesItsOwn(proxy, port);
});

test('the metrics of the key servers are there from the first stub on, also where that comes when it runs', async () => {
  const proxy = start('wait', ['--metrics', '0']);
  const { port } = await proxy.event('metrics');
  const page = async () => {
    const [response] = await once(get({ port: port as number, path: '/metrics' }), 'response');
    return text(response);
  };
  await proxy.port();
  assert.doesNotMatch(await page(), /keyless_tls_edge_/);
  addStub();
  await proxy.event('host', ({ host }) => host === 'stub');
  assert.match(await page(), /keyless_tls_edge_key_server_connections\{server="127\.0\.0\.1:1"\} 0\n/);
  assert.equal(await proxy.end(), 0);
});

/** Clients of `keyless-tls proxy` that send TLS records which are no data: nobody above OpenSSL hears of them. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { createServer as createTcpServer, type Server } from 'node:net';
import { after, before, test } from 'node:test';
import { OpensslClient } from '../helpers/openssl-client.ts';
import { HostsFolder, ProxyProcess, portOf } from '../helpers/proxying.ts';

let folder: HostsFolder;
let proxy: ProxyProcess;
const backends: Server[] = [];

before(async () => {
  folder = await HostsFolder.make();
  await folder.add('bytes', ['bytes.test']);
  await folder.add('web', ['web.test']);
  backends.push(createTcpServer((socket) => void socket.on('error', () => undefined).pipe(socket)));
  backends.push(createServer((_, response) => response.end('ok')));
  const [bytes, web] = await Promise.all(backends.map(portOf));
  proxy = new ProxyProcess(folder, [
    ...['--backend', `bytes=tcp://127.0.0.1:${bytes}`, '--backend', `web=http://127.0.0.1:${web}`],
    ...['--default-host', 'bytes'],
  ]);
});
after(async () => {
  assert.equal(await proxy.end(), 0);
  for (const backend of backends) backend.close();
  folder.remove();
});

/** @param name of the host; `undefined`: none is sent */
async function connect(name: string | undefined, alpn: readonly string[] = []): Promise<OpensslClient> {
  const servername = name === undefined ? ['-noservername'] : ['-servername', name];
  const client = new OpensslClient(await proxy.port(), [...servername, ...alpn]);
  assert.ok(await client.saw('SSL handshake has read'));
  return client;
}

test('a client that renews its keys a few times is served', async () => {
  const client = await connect('bytes.test');
  assert.ok(await client.updateKeys(10));
  client.write('are you there\n');
  assert.ok(await client.saw('are you there'));
  client.write('Q\n');
  await client.closed;
});

for (const [what, name, alpn] of [
  ['bytes', 'bytes.test', []],
  ['a client without a name', undefined, []],
  ['HTTP/1.1', 'web.test', ['-alpn', 'http/1.1']],
  ['HTTP/2', 'web.test', ['-alpn', 'h2']],
] as const) {
  test(`a client that renews its keys again and again is disconnected: ${what}`, async () => {
    const client = await connect(name, alpn);
    assert.equal(await client.updateKeys(200), false);
    await client.closed;
  });
}

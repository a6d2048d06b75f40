/** `keyless-tls proxy --isolate`. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { test } from 'node:test';
import tls from 'node:tls';
import { childrenOf } from '../helpers/programs.ts';
import { HostsFolder, ProxyProcess, portOf } from '../helpers/proxying.ts';

test('private keys of the folder leave the process, and its hosts are served', async () => {
  const folder = await HostsFolder.make();
  await folder.add('www', ['localhost'], 'rsa');
  const echo = createServer((socket) => void socket.on('error', () => undefined).pipe(socket));
  const url = `tcp://127.0.0.1:${await portOf(echo)}`;
  const proxy = new ProxyProcess(folder, ['--backend', url, '--isolate']);
  try {
    const port = await proxy.port();
    assert.equal(childrenOf(proxy.child.pid!).length, 2);
    const socket = tls.connect({ port, servername: 'localhost', ca: folder.authority.certPem });
    await once(socket, 'secureConnect');
    assert.ok(socket.authorized);
    socket.end();
  } finally {
    assert.equal(await proxy.end(), 0);
    echo.close();
    folder.remove();
  }
});

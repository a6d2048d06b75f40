/** A proxy's connections to backends that are broken off while Node.js lets go of them: nobody's error is the process's. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { connectBackend, parseBackend } from '../../../lib/proxy/backend.ts';
import { startHttp1 } from '../../../lib/proxy/send-http1.ts';
import { portOf } from '../../helpers/proxying.ts';

/** Hears of no error, unlike once(). */
function closing(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.on('close', () => resolve()));
}

for (const [what, own] of [
  ['kept', false],
  ['its own', true],
] as const) {
  test(`a request that is broken off between its answer and the end of it, on a connection that is ${what}`, async () => {
    const peers: Socket[] = [];
    const server = createServer((socket) => {
      peers.push(socket);
      socket
        .on('error', () => undefined)
        .on('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'));
    });
    const backend = parseBackend(`http://127.0.0.1:${await portOf(server)}`);
    const outgoing = {
      method: 'GET',
      target: '/',
      headers: { host: 'localhost', connection: 'keep-alive' },
      hasBody: false,
      takesTrailers: false,
    };
    const request = startHttp1(backend, outgoing, ...(own ? [false as const] : []));
    request
      .on('error', () => undefined)
      .on('response', (message) => {
        message.on('error', () => undefined).resume();
        // Its end is on its way: when it comes, the connection has been destroyed, and its error is told after that.
        process.nextTick(() => request.destroy(new Error('the client has gone')));
      });
    request.end();
    const [socket] = (await once(request, 'socket')) as [Socket];
    const closed = closing(socket);
    await new Promise((resolve) => request.on('close', resolve));
    // Newer versions of Node (24, 26) keep the connection, whose answer is whole.
    for (const peer of peers) peer.destroy();
    await closed;
    server.close();
  });
}

test('a connection for bytes that is broken off before anybody uses it', async () => {
  for (const protocol of ['tcp', 'tls', 'h2']) {
    const socket = connectBackend(parseBackend(`${protocol}://127.0.0.1:1`));
    socket.destroy(new Error('nobody wants it'));
    await closing(socket);
    assert.ok(socket.destroyed);
  }
});

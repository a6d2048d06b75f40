/** How long a connection for a page may take to ask and to read: by a clock that the tests hold. */
import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import net, { type AddressInfo, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { oneRequestServer, type PageAnswer } from '../../../lib/cli/one-request-http.ts';

const PATIENCE_MS = 5000;
const REQUEST = 'GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n';
const page = (body: Buffer): PageAnswer => ({ status: '200 OK', contentType: 'text/plain', body });

/** By the system's clock, so that a connection that stays fails the test. */
const closedSoon = (socket: Socket) => once(socket, 'close', { signal: AbortSignal.timeout(20_000) });

/** @returns a client's side of a connection, and the server's */
async function connectTo(t: TestContext, answer: () => Promise<PageAnswer>): Promise<[Socket, Socket]> {
  const server = oneRequestServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const taken = once(server, 'connection') as Promise<[Socket]>;
  const client = net.connect((server.address() as AddressInfo).port, '127.0.0.1');
  client.on('error', () => undefined);
  t.after(() => {
    client.destroy();
    server.close();
  });
  return [client, (await taken)[0]];
}

test('a head that has no end is ended by its length', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const [client, socket] = await connectTo(t, async () => page(Buffer.from('up 1\n')));
  const closed = closedSoon(socket);
  client.resume().write('x'.repeat(100_000));
  await closed;
});

test('who has asked may wait for a page for longer than it may take to ask', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const asking = new EventEmitter();
  const [client] = await connectTo(t, async () => {
    asking.emit('asked');
    await once(asking, 'made');
    return page(Buffer.from('up 1\n'));
  });
  const asked = once(asking, 'asked');
  client.write(REQUEST);
  await asked;
  t.mock.timers.tick(2 * PATIENCE_MS);
  asking.emit('made');
  let text = '';
  for await (const chunk of client) text += chunk;
  assert.match(text, /\r\n\r\nup 1\n$/);
});

test('who does not read the answer loses its place in time', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const [client, socket] = await connectTo(t, async () => page(Buffer.alloc(64 * 1024 * 1024)));
  client.pause().write(REQUEST);
  await once(client, 'readable');
  const closed = closedSoon(socket);
  t.mock.timers.tick(PATIENCE_MS);
  await closed;
});

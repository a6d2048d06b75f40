/** `--metrics`: whoever asks for nothing keeps nobody out. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import net from 'node:net';
import { type TestContext, test } from 'node:test';
import { startMetrics } from '../../../lib/cli/metrics-page.ts';
import { until } from '../../helpers/edge.ts';

const PLACES = 16;
/** What a place may be had for without a request, and more. */
const MOST_MS = 15_000;

/** Over a connection of its own. */
function statusOf(port: number): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const asked = get({ port, host: '127.0.0.1', path: '/metrics', agent: false });
    asked.on('error', reject).on('response', (answer: IncomingMessage) => {
      answer.resume();
      resolve(answer.statusCode);
    });
  });
}

/** @returns the port of a page that `render` makes */
async function start(t: TestContext, render: () => Promise<string>): Promise<number> {
  let port = 0;
  const source = { render, contentType: 'text/plain', close: () => undefined };
  const end = await startMetrics('serve', '127.0.0.1:0', source, (_, fields) => {
    port = (fields as { readonly port: number }).port;
  });
  t.after(end);
  return port;
}

/** Resolves with all that came over a connection that wrote `bytes`, when it has gone. */
function exchange(port: number, bytes: string): Promise<string> {
  const socket = net.connect(port, '127.0.0.1');
  let text = '';
  socket.setEncoding('latin1').on('data', (chunk) => {
    text += chunk;
  });
  // The other side may go while something is still to be read.
  socket.on('error', () => undefined).write(bytes);
  return new Promise((resolve) => socket.once('close', () => resolve(text)));
}

const REQUEST = 'GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n';

test('silent connections lose their places in time', async (t) => {
  const port = await start(t, async () => 'up 1\n');
  const startedAt = performance.now();
  const silent = Array.from({ length: PLACES }, () => net.connect(port, '127.0.0.1'));
  const closed = silent.map((socket) => {
    socket.on('error', () => undefined).resume();
    return new Promise((resolve) => socket.once('close', resolve));
  });
  await Promise.all(silent.map((socket) => once(socket, 'connect')));
  await Promise.all(closed);
  assert.equal(await statusOf(port), 200);
  const tookMs = performance.now() - startedAt;
  assert.ok(tookMs < MOST_MS, `${tookMs} ms`);
});

test('a neighbour with all places, who comes again and again, keeps nobody out who comes from elsewhere', async (t) => {
  const port = await start(t, async () => 'up 1\n');
  let [held, made, isOver] = [0, 0, false];
  t.after(() => {
    isOver = true;
  });
  const hold = () => {
    if (isOver) return;
    const socket = net.connect({ port, host: '127.0.0.1', localAddress: '127.0.0.2' });
    const end = () => socket.destroy();
    t.after(end);
    socket.on('error', () => undefined).on('close', hold);
    socket.on('connect', () => {
      made += 1;
    });
  };
  while (held++ < PLACES) hold();
  await until(() => made >= PLACES);
  for (let scrape = 0; scrape < 5; scrape += 1) assert.equal(await statusOf(port), 200);
  assert.ok(made > PLACES, 'it has come again');
});

test('a connection has one answer, however many requests it brings, and is closed', async (t) => {
  let rendered = 0;
  const port = await start(t, async () => `pages ${++rendered}\n`);
  const text = await exchange(port, REQUEST.repeat(1000));
  assert.deepEqual(text.match(/^pages \d+$/gm), ['pages 1']);
  assert.match(text, /^HTTP\/1\.1 200 OK\r\n/);
  assert.match(text, /\r\nconnection: close\r\n/);
  assert.equal(rendered, 1);
});

test('a request that comes in pieces, or from a client that has ended its side, is answered', async (t) => {
  const port = await start(t, async () => 'up 1\n');
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true }).setNoDelay();
  for (const octet of REQUEST) socket.write(octet);
  socket.end();
  let text = '';
  for await (const chunk of socket) text += chunk;
  assert.match(text, /^HTTP\/1\.1 200 OK\r\n.*\r\n\r\nup 1\n$/s);
});

test('a query changes nothing, nor the name of the server before the path, and HEAD has no page', async (t) => {
  const port = await start(t, async () => 'up 1\n');
  const text = await exchange(port, 'GET /metrics?collect%5B%5D=up HTTP/1.1\r\n\r\n');
  assert.match(text, /^HTTP\/1\.1 200 OK\r\n.*\r\n\r\nup 1\n$/s);
  const whole = await exchange(port, 'GET http://keys-1.internal:9407/metrics?a HTTP/1.1\r\n\r\n');
  assert.match(whole, /^HTTP\/1\.1 200 OK\r\n/);
  const head = await exchange(port, 'HEAD /metrics HTTP/1.1\r\n\r\n');
  assert.match(head, /^HTTP\/1\.1 200 OK\r\n.*content-length: 5\r\n.*\r\n\r\n$/s);
});

test('nobody gets anything else, or a head that has no end', async (t) => {
  const port = await start(t, async () => 'up 1\n');
  for (const line of ['GET / HTTP/1.1', 'POST /metrics HTTP/1.1', 'GET /metrics/?a HTTP/1.1', 'x'])
    assert.match(await exchange(port, `${line}\r\n\r\n`), /^HTTP\/1\.1 404 /);
  assert.equal(await exchange(port, 'x'.repeat(100_000)), '');
});

test('a page that cannot be made is a 500, and the next one is tried', async (t) => {
  let fails = true;
  const port = await start(t, () => (fails ? Promise.reject(new Error('no')) : Promise.resolve('up 1\n')));
  assert.equal(await statusOf(port), 500);
  fails = false;
  assert.equal(await statusOf(port), 200);
});

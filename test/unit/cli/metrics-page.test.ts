/** `--metrics`: whoever asks for nothing keeps nobody out. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import net from 'node:net';
import { test } from 'node:test';
import { startMetrics } from '../../../lib/cli/metrics-page.ts';

const PLACES = 16;
/** What a place may be had for without a request, and Node's look at that; far below its own interval of 30 s. */
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

test('silent connections lose their places in time, and the figures are shown again', async (t) => {
  const source = { render: async () => 'up 1\n', contentType: 'text/plain', close: () => undefined };
  let port = 0;
  const end = await startMetrics('serve', '127.0.0.1:0', source, (_, fields) => {
    port = (fields as { readonly port: number }).port;
  });
  t.after(end);
  const startedAt = performance.now();
  const silent = Array.from({ length: PLACES }, () => net.connect(port, '127.0.0.1'));
  const closed = silent.map((socket) => {
    socket.on('error', () => undefined).resume();
    return new Promise((resolve) => socket.once('close', resolve));
  });
  await Promise.all(silent.map((socket) => once(socket, 'connect')));
  await assert.rejects(statusOf(port));
  await Promise.all(closed);
  assert.equal(await statusOf(port), 200);
  const tookMs = performance.now() - startedAt;
  assert.ok(tookMs < MOST_MS, `${tookMs} ms`);
});

/** Many handshakes paused at once, and what happens beyond the limit. */
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { connect, type TLSSocket } from 'node:tls';
import {
  configureEngine,
  createServer,
  engineStats,
  KeylessError,
  localKey,
  type PrivateKey,
} from '../../lib/index.ts';
import { type Issued, makeAuthority } from '../helpers/certificates.ts';
import { close, listen } from '../helpers/connections.ts';

/** Nobody is to be given up while the others come, which takes minutes on a busy machine. */
const PATIENCE_MS = 500_000;

let issued: Issued;

before(async () => {
  issued = await (await makeAuthority()).issue({ type: 'p256' });
});
after(() => configureEngine({ maxPausedHandshakes: 10_000 }));

/** A key that answers only when it is told to. */
function dam() {
  const local = localKey(issued.keyPem, { sync: true });
  const waiting: (() => void)[] = [];
  let onWaiting: () => void = () => {};
  const key: PrivateKey = {
    timeoutMs: PATIENCE_MS,
    sign: (operation) =>
      new Promise((resolve) => {
        waiting.push(() => resolve(local.sign(operation)));
        onWaiting();
      }),
  };
  const reaches = (count: number) =>
    new Promise<void>((resolve) => {
      onWaiting = () => {
        if (waiting.length >= count) resolve();
      };
      onWaiting();
    });
  return { key, waiting, reaches };
}

function client(port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket: TLSSocket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
    socket.on('secureConnect', () => resolve('ok'));
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.resume();
  });
}

it('5,000 handshakes paused at once all complete', async () => {
  const { key, waiting, reaches } = dam();
  const COUNT = 5000;
  const server = createServer({ cert: issued.certPem, key, handshakeTimeout: PATIENCE_MS }, (socket) =>
    socket.end(),
  );
  const port = await listen(server);
  const results: Promise<string>[] = [];
  // In groups, for the listen queue's sake.
  for (let count = 250; count <= COUNT; count += 250) {
    results.push(...Array.from({ length: 250 }, () => client(port)));
    await reaches(count);
  }
  assert.equal(engineStats().paused, COUNT);
  for (const answer of waiting) answer();
  assert.deepEqual(new Set(await Promise.all(results)), new Set(['ok']));
  await close(server);
  assert.equal(engineStats().paused, 0);
});

it('beyond the limit handshakes wait, beyond twice the limit they are refused', async () => {
  const LIMIT = 10;
  configureEngine({ maxPausedHandshakes: LIMIT });
  const { key, waiting, reaches } = dam();
  const server = createServer({ cert: issued.certPem, key, handshakeTimeout: PATIENCE_MS }, (socket) =>
    socket.end(),
  );
  const port = await listen(server);
  const refusals: Error[] = [];
  const allRefused = new Promise<void>((resolve) => {
    server.on('tlsClientError', (error) => {
      refusals.push(error);
      if (refusals.length === 5) resolve();
    });
  });
  const results = Array.from({ length: 2 * LIMIT + 5 }, () => client(port));
  await reaches(LIMIT);
  await allRefused;
  const { paused, queued } = engineStats();
  assert.deepEqual({ paused, queued }, { paused: LIMIT, queued: LIMIT });
  for (const error of refusals) {
    assert.ok(error instanceof KeylessError);
    assert.equal(error.code, 'ERR_KEYLESS_TOO_MANY_HANDSHAKES');
  }
  for (const answer of waiting.splice(0)) answer();
  await reaches(LIMIT);
  for (const answer of waiting.splice(0)) answer();
  const outcome = await Promise.all(results);
  assert.equal(outcome.filter((result) => result === 'ok').length, 2 * LIMIT);
  assert.equal(engineStats().refused, 5);
  await close(server);
});

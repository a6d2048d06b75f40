/** Operations that one key server failed, and that wait for room at another: for that, and not for nothing. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { KeyServers, KeyServersOptions } from '../../../lib/keys/key-servers.ts';
import { encodeError, encodePong } from '../../../lib/protocol/answers.ts';
import type { Frame } from '../../../lib/protocol/frame-decoder.ts';
import { until } from '../../helpers/edge.ts';
import { certificateVerify } from '../../helpers/handshake-messages.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';
import { signOperation } from '../../helpers/operations.ts';
import { answer, KEY_ID, RudeEdges, SIGNATURE, sign } from '../../helpers/rude-edges.ts';
import type { OnRequest, RudeKeyServer } from '../../helpers/rude-key-server.ts';

/** Nobody is to be given up because a machine is busy. */
const PATIENCE_MS = 120_000;

let edges: RudeEdges;

before(async () => {
  edges = await RudeEdges.make();
});
after(() => edges.close());

const fail: OnRequest = ({ id }, socket) => void socket.write(encodeError(id, 8));
const drop: OnRequest = (_frame, socket) => void socket.destroy();
const silent: OnRequest = () => undefined;

/** A key server whose manner can be changed. */
async function changeable(manner: OnRequest): Promise<{ server: RudeKeyServer; manner: OnRequest }> {
  const it = { manner };
  const server = await edges.rude((frame, socket) => it.manner(frame, socket));
  return Object.assign(it, { server });
}

/** Two key servers, one of which fails what it is asked, and one that is full. @returns with operations that wait for it */
async function waiting(how: OnRequest, options?: Partial<KeyServersOptions>) {
  const failing = await changeable(how);
  const full = await edges.rude(silent);
  const keys = edges.edge([failing.server, full], { timeoutMs: PATIENCE_MS, ...options });
  await until(() => keys.stats().servers.every(({ ready }) => ready === 2));
  const operations = Promise.all(Array.from({ length: 200 }, () => sign(keys, PATIENCE_MS)));
  await until(() => inFlight(keys, full) === 64 && keys.stats().waiting === 136);
  return { failing, full, keys, operations };
}

function inFlight(keys: KeyServers, { address }: RudeKeyServer): number {
  return keys.stats().servers.find(({ server }) => server === address)!.inFlight;
}

for (const [name, how] of [
  ['answered with an error', fail],
  ['lost its connection', drop],
] as const) {
  test(`what one key server ${name} for is asked there again when the other one is gone`, async () => {
    // It stands still until the manner has changed: nobody tries the failing one again before, however slow the machine is.
    const clock = new ManualClock();
    const { failing, full, keys, operations } = await waiting(how, { clock });
    failing.manner = answer;
    await full.close();
    await until(() => {
      clock.advance(10);
      const { succeeded, failed } = keys.stats();
      return succeeded + failed === 200;
    });
    assert.equal(keys.stats().failed, 0);
    assert.equal((await operations).length, 200);
  });
}

test('what was lost with a connection is asked on the next one, rather than waiting for a key server that is full', async () => {
  const { failing, full, keys, operations } = await waiting(drop);
  failing.manner = answer;
  // Those that the full one has got it would keep for ever; second requests are for them.
  assert.equal((await operations).length, 200);
  assert.equal(full.sockets.size, 2);
  assert.equal(keys.stats().failed, 0);
});

test('an answer to a ping is no signature: another key server is asked', async () => {
  const odd = await edges.rude(({ id, items }, socket) => void socket.write(encodePong(id, items.payload)));
  const alone = edges.edge([odd]);
  await alone.ready();
  await assert.rejects(sign(alone), { code: 'ERR_KEYLESS_PROTOCOL' });
  const both = edges.edge([odd, await edges.rude()]);
  await until(() => both.stats().servers.every(({ ready }) => ready > 0));
  for (let times = 0; times < 10; times += 1) assert.deepEqual(Buffer.from(await sign(both)), SIGNATURE);
});

test('what one key server answered with an error for does not wait for room at one that is left alone', async () => {
  const asked: Frame[] = [];
  const broken = await changeable((frame) => void asked.push(frame));
  const later = await edges.rude();
  const { port } = later;
  await later.close();
  const keys = edges.edge([broken.server, `127.0.0.1:${port}`]);
  await until(() => keys.stats().servers[0]!.ready === 2);
  const many = Array.from({ length: 69 }, () => sign(keys).catch(({ code }) => code));
  await until(() => asked.length === 64);
  const [socket] = broken.server.sockets;
  for (const { id } of asked.slice(0, 5)) socket!.write(encodeError(id, 8));
  await until(() => asked.length === 69);
  assert.deepEqual([keys.stats().servers[0]!.breaker, inFlight(keys, broken.server)], ['open', 64]);

  const message = certificateVerify();
  let failures = 0;
  await edges.rude(
    (frame, to) => {
      const isFailed = failures === 0 && Buffer.from(frame.items.extraPayload!).equals(message);
      if (isFailed) failures += 1;
      (isFailed ? fail : answer)(frame, to);
    },
    { port },
  );
  await until(() => keys.stats().servers[1]!.ready > 0);
  const signature = await keys.sign(signOperation(KEY_ID, undefined, message));
  assert.deepEqual([Buffer.from(signature), failures], [SIGNATURE, 1]);
  keys.close();
  await Promise.all(many);
});

/** @returns milliseconds of CPU time that thousands of operations take, which key servers with room for a few answer one after the other */
async function cpuOfMany(servers: readonly RudeKeyServer[]): Promise<number> {
  const keys = edges.edge(servers, { timeoutMs: PATIENCE_MS });
  await until(() => keys.stats().servers.every(({ ready }) => ready === 2));
  const since = process.cpuUsage();
  await Promise.all(Array.from({ length: 6000 }, () => sign(keys, PATIENCE_MS)));
  const { user, system } = process.cpuUsage(since);
  keys.close();
  return (user + system) / 1000;
}

test('thousands who wait for room at one key server cost no more because another one is idle, which they may not go to', async () => {
  const slow = await edges.rude((frame, socket) => void setTimeout(answer, 20, frame, socket));
  await cpuOfMany([slow]);
  const alone = await cpuOfMany([slow]);
  for (const code of [8, 2] as const) {
    const other = await edges.rude(({ id }, socket) => void socket.write(encodeError(id, code)));
    const both = await cpuOfMany([slow, other]);
    // Hardly more; twelve times where each answer is a reason to look at all who wait.
    assert.ok(both < 4 * alone, `error ${code}: ${both} ms, alone ${alone} ms`);
  }
});

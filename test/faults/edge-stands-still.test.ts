/** Row 33: the edge stands still for longer than its operations may take (stopped, moved to another machine, busy), and goes on. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { encodeError } from '../../lib/protocol/answers.ts';
import { until } from '../helpers/edge.ts';
import { type Fleet, makeFleet } from '../helpers/fleet.ts';
import { signOperation } from '../helpers/operations.ts';
import { RudeEdges, sign } from '../helpers/rude-edges.ts';
import { pong } from '../helpers/rude-key-server.ts';

let fleet: Fleet;
let edges: RudeEdges;

before(async () => {
  fleet = await makeFleet(1, 2);
  edges = await RudeEdges.make();
});
after(async () => {
  await edges.close();
  await fleet.close();
});

function standStill(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test('answers that came meanwhile are taken, and no key server is blamed', async () => {
  const { keys } = (await fleet.edges())[0]!;
  const { keyId } = fleet.setup.sites.p256!;
  const signOne = () =>
    keys.sign(signOperation(keyId, undefined, undefined, 1000)).then(() => 'signed', String);
  await until(() => keys.stats().servers.every(({ ready }) => ready > 0));
  assert.equal(await signOne(), 'signed');
  const signed = Array.from({ length: 20 }, signOne);
  // They are written at its end.
  await turn();
  standStill(2000);
  assert.deepEqual(new Set(await Promise.all(signed)), new Set(['signed']));
  for (const { breaker, errors } of keys.stats().servers) assert.deepEqual([breaker, errors], ['closed', {}]);
});

test('where there is none, the operations end, and no key server is blamed for it either', async () => {
  const keys = edges.edge([await edges.rude(() => undefined)]);
  await until(() => keys.stats().servers[0]!.ready === 2);
  const failed = Array.from({ length: 20 }, () =>
    assert.rejects(sign(keys, 1200), { code: 'ERR_KEYLESS_TIMEOUT' }),
  );
  await turn();
  standStill(2200);
  await Promise.all(failed);
  const { breaker, latencyMs } = keys.stats().servers[0]!;
  assert.deepEqual([breaker, latencyMs], ['closed', undefined]);
});

test('an app that takes longer to load than a connection may take to be made is ready as soon as it has', async () => {
  const keys = edges.edge([await edges.rude()], { connectTimeoutMs: 2000 });
  standStill(2500);
  await keys.ready();
  assert.equal(keys.stats().servers[0]!.failures, 0);
});

test('whoever is asked whether it is there again, and says so meanwhile, is tried', async () => {
  let isProbed = false;
  const keyServer = await edges.rude(({ id }, socket) => void socket.write(encodeError(id, 8)), {
    onPing: (...ping) => {
      pong(...ping);
      if (isProbed) standStill(1000);
    },
  });
  const keys = edges.edge([keyServer], { pingTimeoutMs: 800 });
  const stats = () => keys.stats().servers[0]!;
  await until(() => stats().ready === 2);
  while (stats().breaker === 'closed') await sign(keys).catch(() => undefined);
  isProbed = true;
  await until(() => stats().breaker !== 'open' || stats().breakerOpened > 1);
  isProbed = false;
  assert.deepEqual([stats().breaker, stats().breakerOpened], ['half-open', 1]);
});

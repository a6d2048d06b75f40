/** Key servers with priorities, by SRV: a primary that answers pings and nothing else is not one that is there. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { connectKeyServers } from '../../../lib/keys/key-servers.ts';
import { until } from '../../helpers/edge.ts';
import { answer, RudeEdges, sign } from '../../helpers/rude-edges.ts';
import type { RudeKeyServer } from '../../helpers/rude-key-server.ts';

let edges: RudeEdges;

before(async () => {
  edges = await RudeEdges.make();
});
after(() => edges.close());

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const TIMEOUT_MS = 3000;

function srvEdge(servers: readonly (readonly [RudeKeyServer, number])[]) {
  const records = servers.map(([{ address }, priority]) => {
    const [name, port] = address.split(':') as [string, string];
    return { name, port: Number(port), priority, weight: 0 };
  });
  const keys = connectKeyServers({
    srv: '_keyless._tcp.internal',
    resolveSrv: async () => records,
    ...edges.setup.edgeOptions,
    timeoutMs: TIMEOUT_MS,
  });
  edges.closesFirst(keys);
  return keys;
}

/** Answers after so many milliseconds; `undefined`: pings only; and nothing at all to the next so many. */
async function settable() {
  const it = { afterMs: 0 as number | undefined, asked: 0, loses: 0 };
  const server = await edges.rude((frame, socket) => {
    it.asked += 1;
    if (it.loses > 0) it.loses -= 1;
    else if (it.afterMs !== undefined) setTimeout(answer, it.afterMs, frame, socket);
  });
  return { it, server };
}

/** An edge of a key server of each of two priorities, connected. */
async function twoPriorities() {
  const [primary, backup] = [await settable(), await settable()];
  const keys = srvEdge([
    [primary.server, 0],
    [backup.server, 10],
  ]);
  await until(
    () => keys.stats().servers.length === 2 && keys.stats().servers.every(({ ready }) => ready === 2),
  );
  return { primary, backup, keys };
}

test('what the first priority does not answer the next one is asked for; it is left alone, and no client pays for its trial', async () => {
  const { primary, backup, keys } = await twoPriorities();
  for (let times = 0; times < 30; times += 1) await sign(keys, TIMEOUT_MS);
  assert.equal(backup.it.asked, 0);
  primary.it.afterMs = undefined;
  const signed: Promise<unknown>[] = [];
  // It has opened after it was tried, too.
  while (keys.stats().servers[0]!.breakerOpened < 2) {
    signed.push(sign(keys, TIMEOUT_MS));
    await pause(20);
    assert.ok(signed.length < 1000);
  }
  await Promise.all(signed);
  const { failed, servers } = keys.stats();
  assert.equal(failed, 0);
  assert.equal(servers[1]!.answered, signed.length);
  assert.deepEqual(servers[0]!.errors, {});
});

test('a third priority answers where the first and the second do not', async () => {
  const [first, second, third] = [await settable(), await settable(), await settable()];
  const keys = srvEdge([
    [first.server, 0],
    [second.server, 10],
    [third.server, 20],
  ]);
  await until(
    () => keys.stats().servers.length === 3 && keys.stats().servers.every(({ ready }) => ready === 2),
  );
  first.it.afterMs = undefined;
  second.it.afterMs = undefined;
  const signed: Promise<unknown>[] = [];
  for (let times = 0; times < 100; times += 1) {
    signed.push(sign(keys, TIMEOUT_MS).catch(() => undefined));
    await pause(10);
  }
  await Promise.all(signed);
  // Nobody is asked a third time: those that the second one has by then, by the budget and for a trial.
  const { failed } = keys.stats();
  assert.ok(failed <= 10 + 5 + 1, `${failed} of 100 failed`);
});

test('a first priority that takes longer than it did sends nothing to the next one', async () => {
  const { primary, backup, keys } = await twoPriorities();
  for (let times = 0; times < 30; times += 1) await sign(keys, TIMEOUT_MS);
  primary.it.afterMs = 150;
  await Promise.all(Array.from({ length: 10 }, () => sign(keys, TIMEOUT_MS)));
  assert.equal(backup.it.asked, 0);
});

test('what a first priority loses, while it answers the rest, the next one is asked for, also beyond the budget', async () => {
  const { primary, keys } = await twoPriorities();
  primary.it.loses = 40;
  let pending = 40;
  const lost = Promise.allSettled(
    Array.from({ length: pending }, () => sign(keys, TIMEOUT_MS).finally(() => (pending -= 1))),
  );
  const others: Promise<unknown>[] = [];
  // Somebody is answered all the time.
  while (pending > 0) {
    others.push(sign(keys, TIMEOUT_MS));
    await pause(10);
  }
  const failed = (await lost).filter(({ status }) => status === 'rejected');
  assert.equal(failed.length, 0);
  await Promise.all(others);
  const lossy = () => keys.stats().servers[0]!;
  assert.ok(lossy().hedges >= 40);
  await until(() => lossy().unanswered === 40);
  assert.equal(keys.stats().servers[1]!.unanswered, 0);
});

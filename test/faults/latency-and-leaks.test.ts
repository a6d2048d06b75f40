/** Networks that are far away, and nothing that stays behind: rows 1, 4 and 23. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { after, before, test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { startBadKeyServer } from '../helpers/bad-key-server.ts';
import { type Edge, startEdge, until } from '../helpers/edge.ts';
import { startFaultProxy } from '../helpers/fault-proxy.ts';
import { type KeyServerSetup, makeKeyServers } from '../helpers/key-servers.ts';
import { signOperation } from '../helpers/operations.ts';
import { stopwatch } from '../helpers/stopwatch.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

let setup: KeyServerSetup;
const open: { close(): Promise<void> }[] = [];

before(async () => {
  setup = await makeKeyServers(['p256']);
});
after(async () => {
  for (const each of open) await each.close();
});

/** @returns milliseconds that the loop took to come round while it ran, at the lower quartile: others take the core now and then */
async function loopDelayMs(run: () => Promise<unknown>): Promise<number> {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  await run();
  delay.disable();
  return delay.percentile(25) / 1e6;
}

for (const latencyMs of [25, 100]) {
  test(`row 4: ${2 * latencyMs} ms of round trip, with jitter: a hundred operations take hardly longer than one`, async () => {
    const server = await startBadKeyServer(setup);
    const proxy = await startFaultProxy(server.port);
    const edge = await startEdge(setup, setup.sites.p256!, [proxy.address]);
    open.push(edge, proxy, server);
    await edge.keys.ready();
    const { keyId } = setup.sites.p256!;
    const sign = ({ keys }: Edge) =>
      Promise.all(Array.from({ length: 100 }, () => keys.sign(signOperation(keyId))));
    const near = await startEdge(setup, setup.sites.p256!, [server.address]);
    open.unshift(near);
    const nearMs = await loopDelayMs(() => sign(near));
    proxy.faults.latencyMs = latencyMs;
    proxy.faults.jitterMs = latencyMs / 5;
    const [took, since] = [stopwatch(), performance.now()];
    const farMs = await loopDelayMs(() => sign(edge));
    const [waitedMs, tookMs] = [took(), performance.now() - since];
    // Whoever waited for an answer in the way of the loop would delay it by as much.
    assert.ok(farMs <= nearMs + latencyMs / 2, `the loop took ${farMs} ms, without latency ${nearMs}`);
    // A few at a time they would take a dozen round trips and more; a second is for what they compute.
    assert.ok(waitedMs < 4 * 2 * latencyMs + 1000, `${waitedMs} ms`);
    // Whoever stands in the way of the loop takes real time, which a stopwatch does not see.
    assert.ok(tookMs < 50 * 2 * latencyMs, `${tookMs} ms`);
    const { p50 } = edge.keys.stats().servers[0]!.latencyMs!;
    assert.ok(p50 >= 2 * latencyMs, `${p50} ms`);
  });
}

const descriptors = () => readdirSync('/dev/fd').length;

function resources(): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const name of process.getActiveResourcesInfo()) {
    if (/TCP|TLS|Timeout/.test(name)) counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

test('row 23: hundreds of connections, resets and operations later, all is as it was', async () => {
  const [one, other] = [await startBadKeyServer(setup), await startBadKeyServer(setup)];
  const proxy = await startFaultProxy(one.port);
  open.push(proxy, one, other);
  const before = { descriptors: descriptors(), ...resources() };
  const edge = await startEdge(setup, setup.sites.p256!, [proxy.address, other.address]);
  open.push(edge);
  const { keyId } = setup.sites.p256!;
  for (let rounds = 0; rounds < 60; rounds += 1) {
    await until(() => edge.keys.stats().servers.some(({ ready }) => ready === 2));
    const operations = Array.from({ length: 4 }, () => edge.keys.sign(signOperation(keyId)));
    const { connections } = edge.keys.stats().servers[1]!;
    const renews = rounds % 3 !== 0;
    if (renews) edge.keys.setCredentials(setup.edgeOptions);
    else proxy.reset();
    await Promise.all(operations);
    // Renewed again before it is ready, a connection would not have been one.
    if (renews) await until(() => edge.keys.stats().servers[1]!.connections > connections);
  }
  const stats = edge.keys.stats();
  assert.ok(stats.servers[1]!.connections >= 40, `${stats.servers[1]!.connections} connections`);
  assert.deepEqual([stats.failed, stats.waiting], [0, 0]);
  await edge.close();
  await until(() => one.sockets.size + other.sockets.size === 0);
  await until(() => descriptors() <= before.descriptors);
  const left = resources();
  for (const [name, count] of Object.entries(left)) {
    assert.ok(count <= ((before as Record<string, number>)[name] ?? 0), `${name}: ${count}`);
  }
});

test('row 1: what waited in vain while no key server was there is let go of, though none has come back', async () => {
  const server = await startBadKeyServer(setup);
  const edge = await startEdge(setup, setup.sites.p256!, [server.address]);
  open.push(edge);
  await edge.keys.ready();
  await server.close();
  await until(() => edge.keys.stats().servers[0]!.ready === 0);
  const { keyId } = setup.sites.p256!;
  const operations: WeakRef<object>[] = [];
  const failures = Array.from({ length: 2000 }, () => {
    const operation = signOperation(keyId, undefined, undefined, 200);
    operations.push(new WeakRef(operation));
    return assert.rejects(edge.keys.sign(operation), { code: 'ERR_KEYLESS_TIMEOUT' });
  });
  assert.equal(edge.keys.stats().waiting, 2000);
  await Promise.all(failures);
  failures.length = 0;
  const left = () => operations.filter((each) => each.deref() !== undefined).length;
  await until(() => {
    collect();
    // The garbage collector is conservative where a stack or a register still names one.
    return left() <= 5;
  });
});

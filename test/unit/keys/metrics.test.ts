import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { AggregatorRegistry, Registry } from 'prom-client';
import { type EdgeMetricsSource, edgeMetrics } from '../../../lib/metrics.ts';
import { startBadKeyServer } from '../../helpers/bad-key-server.ts';
import { startEdge, until } from '../../helpers/edge.ts';
import { type KeyServerSetup, makeKeyServers } from '../../helpers/key-servers.ts';

let setup: KeyServerSetup;
const open: { close(): Promise<void> }[] = [];

before(async () => {
  setup = await makeKeyServers(['p256']);
});
after(async () => {
  for (const each of open) await each.close();
});

test('signatures of another key are errors of the key server, and failed operations: an alert that goes by either fires', async () => {
  const bad = await startBadKeyServer(setup);
  bad.manner = 'other-key';
  const edge = await startEdge(setup, setup.sites.p256!, [bad.address]);
  open.push(edge, bad);
  await edge.keys.ready();
  const registry = new Registry();
  edgeMetrics(edge.keys, registry);
  for (let visits = 1; visits <= 5; visits += 1) {
    await edge.visit();
    await until(() => edge.errors.length === visits);
  }
  const lines = (await registry.metrics()).split('\n');
  const errors = `{server="${bad.address}",code="ERR_KEYLESS_BAD_SIGNATURE"}`;
  for (const line of [
    'keyless_tls_edge_operations_total{result="failed"} 5',
    `keyless_tls_edge_key_server_errors_total${errors} 5`,
    `keyless_tls_edge_key_server_breaker_open{server="${bad.address}"} 1`,
  ]) {
    assert.ok(lines.includes(line), line);
  }
});

test('a key server that loses requests is told by its name: what it has not answered, and whose operations went elsewhere', async () => {
  const [lossy, good] = [await startBadKeyServer(setup), await startBadKeyServer(setup)];
  lossy.manner = 'silent';
  const edge = await startEdge(setup, setup.sites.p256!, [lossy.address, good.address]);
  open.push(edge, lossy, good);
  await until(() => edge.keys.stats().servers.every(({ ready }) => ready === 2));
  const registry = new Registry();
  edgeMetrics(edge.keys, registry);
  while (lossy.asked < 3) assert.equal(await edge.visit(), 'ok');
  const lines = (await registry.metrics()).split('\n');
  const [ofLossy, ofGood] = edge.keys.stats().servers;
  assert.equal(ofLossy!.unanswered, lossy.asked);
  assert.ok(ofLossy!.hedges > 0);
  for (const { server, unanswered, hedges } of [ofLossy!, ofGood!]) {
    assert.ok(lines.includes(`keyless_tls_edge_key_server_unanswered{server="${server}"} ${unanswered}`));
    assert.ok(lines.includes(`keyless_tls_edge_key_server_hedges_total{server="${server}"} ${hedges}`));
  }
});

test('what happened is what Prometheus reads, and nothing of it after close()', async () => {
  const [bad, good] = [await startBadKeyServer(setup), await startBadKeyServer(setup)];
  bad.manner = { error: 8 };
  const edge = await startEdge(setup, setup.sites.p256!, [bad.address, good.address]);
  open.push(edge, bad, good);
  await until(() => edge.keys.stats().servers.every(({ ready }) => ready === 2));
  const registry = new Registry();
  const metrics = edgeMetrics(edge.keys, registry);
  assert.deepEqual(await edge.visits(20), { ok: 20 });
  const text = await registry.metrics();
  const value = (line: string) =>
    text
      .split('\n')
      .find((each) => each.startsWith(`${line} `))
      ?.split(' ')[1];
  assert.equal(value('keyless_tls_edge_operations_total{result="ok"}'), '20');
  assert.equal(value('keyless_tls_edge_operations_total{result="failed"}'), '0');
  assert.equal(value('keyless_tls_edge_operations_retried_total'), String(edge.keys.stats().retried));
  assert.ok(edge.keys.stats().retried > 0);
  const errors = `keyless_tls_edge_key_server_errors_total{server="${bad.address}",code="ERR_KEYLESS_KEY_SERVER_INTERNAL"}`;
  const failed = edge.keys.stats().servers[0]!.errors.ERR_KEYLESS_KEY_SERVER_INTERNAL;
  assert.equal(value(errors), String(failed));
  assert.equal(value(`keyless_tls_edge_key_server_breaker_open{server="${bad.address}"}`), '1');
  assert.equal(value(`keyless_tls_edge_key_server_breaker_open{server="${good.address}"}`), '0');
  assert.equal(value(`keyless_tls_edge_key_server_connections{server="${good.address}"}`), '2');
  assert.equal(value(`keyless_tls_edge_key_server_answers_total{server="${good.address}"}`), '20');
  const p95 = Number(
    value(`keyless_tls_edge_key_server_latency_seconds{server="${good.address}",quantile="0.95"}`),
  );
  assert.ok(p95 > 0 && p95 < 1);
  assert.equal(text, await registry.metrics(), 'reading changes nothing');
  metrics.close();
  assert.equal((await registry.metrics()).trim(), '');
});

test('of several workers there is the latency and the breaker of the one that fares worst, and the sum of the rest', async () => {
  const server = await startBadKeyServer(setup);
  const edge = await startEdge(setup, setup.sites.p256!, [server.address]);
  open.push(edge, server);
  await until(() => edge.keys.stats().servers[0]!.ready === 2);
  const latencies = [
    { p50: 1, p95: 20, p99: 300 },
    { p50: 2, p95: 10, p99: 400 },
  ];
  const parts = latencies.map((latencyMs) => {
    const stats = edge.keys.stats();
    const servers = [{ ...stats.servers[0]!, breaker: 'half-open' as const, latencyMs }];
    const worker: EdgeMetricsSource = { stats: () => ({ ...stats, servers }) };
    const registry = new Registry();
    edgeMetrics(worker, registry);
    return registry.getMetricsAsJSON();
  });
  const lines = (await AggregatorRegistry.aggregate(await Promise.all(parts)).metrics()).split('\n');
  const labels = `server="${server.address}"`;
  for (const line of [
    `key_server_latency_seconds{${labels},quantile="0.5"} 0.002`,
    `key_server_latency_seconds{${labels},quantile="0.95"} 0.02`,
    `key_server_latency_seconds{${labels},quantile="0.99"} 0.4`,
    `key_server_breaker_open{${labels}} 0.5`,
    `key_server_connections{${labels}} 4`,
  ]) {
    assert.ok(lines.includes(`keyless_tls_edge_${line}`), line);
  }
});

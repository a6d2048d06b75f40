/** Operations are counted in plain numbers: what Prometheus gets is what prom-client's own counters and histograms would say. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Counter, Histogram, Registry } from 'prom-client';
import { type Peer, type ServerOperation, serverOperation } from '../../../lib/server/channels.ts';
import type { KeyServer } from '../../../lib/server/key-server.ts';
import { serverMetrics } from '../../../lib/server/metrics.ts';

const STATS = { connections: 0, refused: 0, inFlight: 0, waiting: 0, answered: 0, unfinished: 0 };
const SERVER = { stats: () => ({ ...STATS, replayWindowMs: 0 }) } as unknown as KeyServer;
const BUCKETS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5];

function operation(client: string, more: Partial<ServerOperation>): ServerOperation {
  const peer: Peer = { client, address: '', subject: '', fingerprint: '', profile: 'ours' };
  const known = { method: undefined, keyId: 'ab'.repeat(20), keyFound: true, context: undefined } as const;
  const ok = {
    servername: undefined,
    repeats: false,
    refusal: undefined,
    errorCode: undefined,
    transcript: undefined,
  };
  return { peer, kind: 'sign', ...known, ...ok, durationMs: 0, ...more };
}

/** Lines of the page that begin with this name. */
async function lines(metrics: { render(): Promise<string> }, name: string): Promise<string[]> {
  const text = await metrics.render();
  return text.split('\n').filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name}_`));
}

test('counts and histograms are those of prom-client, whatever comes, and again when they are asked for again', async () => {
  const registry = new Registry();
  const words = { help: 'of prom-client', registers: [registry] };
  const counted = new Counter({
    ...words,
    name: 'keyless_tls_server_operations_total',
    labelNames: ['client', 'kind', 'result'],
  });
  const took = new Histogram({
    ...words,
    name: 'keyless_tls_server_client_operation_seconds',
    labelNames: ['client'],
    buckets: BUCKETS,
  });
  const metrics = serverMetrics(SERVER);
  const theirs = { render: () => registry.metrics() };
  const durations = [0, 0.05, 0.1, 0.100001, 0.25, 3, 99.9, 100, 4999, 5000, 5001, 1e6];
  for (let round = 0; round < 2; round += 1) {
    for (const client of ['a', 'b"\\\n', 'a']) {
      for (const [at, durationMs] of durations.entries()) {
        const refusal = at % 3 === 0 ? 'rate' : undefined;
        const kind = at % 2 === 0 ? 'sign' : 'premaster';
        serverOperation.publish(operation(client, { durationMs, refusal, kind }));
        counted.inc({ client, kind, result: refusal ?? 'ok' });
        took.observe({ client }, durationMs / 1000);
      }
    }
    for (const name of ['operations_total', 'client_operation_seconds']) {
      const [own, expected] = await Promise.all(
        [metrics, theirs].map((each) => lines(each, `keyless_tls_server_${name}`)),
      );
      assert.ok(expected!.length > 3);
      assert.deepEqual(own!.sort(), expected!.sort());
    }
  }
  metrics.close();
});

test('what came to no key is no key’s, and beyond 500 names the rest is one', async () => {
  const metrics = serverMetrics(SERVER);
  serverOperation.publish(
    operation('a', { keyFound: false, refusal: 'unknown-key', keyId: '07'.repeat(20) }),
  );
  assert.deepEqual(await lines(metrics, 'keyless_tls_server_key_operations_total'), []);
  for (let at = 0; at < 600; at += 1) serverOperation.publish(operation(`client ${at}`, {}));
  const names = await lines(metrics, 'keyless_tls_server_operations_total');
  assert.equal(names.length, 501);
  // The first one is `a`.
  assert.match(names.find((line) => line.includes('client="other"'))!, / 101$/);
  metrics.close();
});

test('a page of as many clients and keys as there may be gives way to the event loop, and is whole', async () => {
  const metrics = serverMetrics(SERVER);
  for (let at = 0; at < 500; at += 1) {
    const keyId = at.toString(16).padStart(40, '0');
    for (const refusal of [undefined, 'rate', 'replayed'] as const)
      serverOperation.publish(operation(`client ${at}`, { keyId, refusal }));
  }
  let [turns, isMade] = [0, false];
  const turn = () => {
    turns += 1;
    if (!isMade) setImmediate(turn);
  };
  setImmediate(turn);
  const text = await metrics.render();
  isMade = true;
  metrics.close();
  const linesOf = (name: string) =>
    text.split('\n').filter((line) => line.startsWith(`keyless_tls_server_${name}`));
  assert.equal(linesOf('operations_total{').length, 1500);
  assert.equal(linesOf('key_operations_total{').length, 1500);
  for (const name of ['client', 'key']) assert.equal(linesOf(`${name}_operation_seconds`).length, 500 * 16);
  // 19,000 lines: of those there are a thousand in a turn at most.
  assert.ok(turns > 19, `${turns} turns`);
});

/**
 * Connections that are lost with what was under way, between an edge and key servers that sign a message once: rows 6 and 12
 * of docs/operations.md.
 */
import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { after, before, test } from 'node:test';
import { type ServerOperation, serverOperation } from '../../lib/server/channels.ts';
import { resultOf } from '../../lib/server/operation-record.ts';
import { startBadKeyServer } from '../helpers/bad-key-server.ts';
import { type Edge, type EdgeOptions, startEdge, until } from '../helpers/edge.ts';
import { type FaultProxy, startFaultProxy } from '../helpers/fault-proxy.ts';
import { type KeyServerSetup, makeKeyServers } from '../helpers/key-servers.ts';
import { type ServeFiles, ServeProcess, serveFiles } from '../helpers/serve-process.ts';

let setup: KeyServerSetup;
let files: ServeFiles;
const open: { close(): unknown }[] = [];

before(async () => {
  setup = await makeKeyServers(['rsa', 'p256']);
  files = serveFiles(setup);
});
after(async () => {
  for (const each of open) await each.close();
  files.remove();
});

/** The only bytes that come are those of answers to requests. */
const NO_PINGS: EdgeOptions = { pingIntervalMs: 60_000, pingTimeoutMs: 60_000 };

type Kind = 'rsa' | 'p256';
const KINDS: readonly Kind[] = ['rsa', 'p256'];

async function proxyOf(port: number): Promise<FaultProxy> {
  const proxy = await startFaultProxy(port);
  open.unshift(proxy);
  return proxy;
}

/** An edge that is connected to all of them. */
async function edgeOf(
  kind: Kind,
  servers: readonly { readonly address: string }[],
  options?: EdgeOptions,
): Promise<Edge> {
  const addresses = servers.map(({ address }) => address);
  const edge = await startEdge(setup, setup.sites[kind]!, addresses, options);
  open.unshift(edge);
  await areReady(edge);
  return edge;
}

const areReady = (edge: Edge) => until(() => edge.keys.stats().servers.every(({ ready }) => ready === 2));

/** @returns what the key servers of this process answered to requests for signatures, counted */
async function results(work: () => Promise<void>): Promise<Readonly<Record<string, number>>> {
  const counts: Record<string, number> = {};
  const listener = (message: unknown) => {
    const operation = message as ServerOperation;
    const result = resultOf(operation);
    if (operation.kind === 'sign') counts[result] = (counts[result] ?? 0) + 1;
  };
  subscribe(serverOperation.name, listener);
  try {
    await work();
  } finally {
    unsubscribe(serverOperation.name, listener);
  }
  return counts;
}

/** Of an answer as it is on the wire: in a TLS record's header, in our header, in items, in the padding. */
const POSITIONS = [1, 5, 12, 25, 90, 300, 900];

for (const kind of KINDS) {
  test(`row 6: ${kind}: whichever byte of its answer a reset comes after, the only key server answers again, and signs once`, async () => {
    const server = await setup.start();
    open.push(server);
    const proxy = await proxyOf(server.port);
    const edge = await edgeOf(kind, [proxy], NO_PINGS);
    const { ok, repeated, ...rest } = await results(async () => {
      for (const bytes of POSITIONS) {
        await areReady(edge);
        proxy.cutAfter('down', bytes);
        assert.equal(await edge.visit(), 'ok', `${bytes}`);
      }
    });
    assert.equal(ok, POSITIONS.length);
    assert.ok(repeated! >= POSITIONS.length);
    assert.deepEqual([rest, edge.errors], [{}, []]);
  });

  for (const direction of ['up', 'down'] as const) {
    test(`${kind}: a byte that is flipped on its way ${direction} is noticed by TLS, and the handshake goes on`, async () => {
      const server = await setup.start();
      open.push(server);
      const proxy = await proxyOf(server.port);
      const edge = await edgeOf(kind, [proxy]);
      const { ok, repeated } = await results(async () => {
        proxy.flip(direction, 100);
        assert.equal(await edge.visit(), 'ok');
      });
      assert.deepEqual([ok, repeated !== undefined], [1, direction === 'down']);
    });
  }

  test(`row 12: ${kind}: garbage ends the connection, and another key server signs`, async () => {
    const bad = await startBadKeyServer(setup);
    bad.manner = 'garbage';
    const good = await setup.start();
    open.push(bad, good);
    const edge = await edgeOf(kind, [bad, { address: `127.0.0.1:${good.port}` }]);
    const counts = await results(async () => assert.deepEqual(await edge.visits(10), { ok: 10 }));
    assert.deepEqual(counts, { ok: 10 });
  });
}

async function serve(): Promise<FaultProxy> {
  const served = new ServeProcess([...files.args, '--quiet']);
  open.push({
    close: () => {
      served.child.kill('SIGKILL');
      return served.ended;
    },
  });
  const proxy = await proxyOf(await served.port());
  // So that there are answers on their way at any moment.
  proxy.faults.latencyMs = 5;
  return proxy;
}

const BLIPS = 10;

for (const [kind, count] of [
  ['p256', 1],
  ['p256', 2],
  ['rsa', 1],
] as const) {
  test(`${kind}, ${count} key server(s): all connections are reset at once under load: no client sees it`, async () => {
    const proxies = await Promise.all(Array.from({ length: count }, serve));
    const edge = await edgeOf(kind, proxies);
    let running = true;
    const outcomes: Record<string, number> = {};
    const visits = Array.from({ length: 16 }, () => 0);
    const work = async (_: unknown, at: number): Promise<void> => {
      while (running) {
        const outcome = await edge.visit();
        outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
        visits[at]! += 1;
      }
    };
    const all = Promise.all(visits.map(work));
    for (let blip = 0; blip < BLIPS; blip += 1) {
      // Nobody is lost by the fourth: on a busy machine those that come may be served before one that was there.
      const before = [...visits];
      await until(() => visits.every((count, at) => count >= before[at]! + 2));
      await areReady(edge);
      for (const proxy of proxies) proxy.reset();
    }
    await areReady(edge);
    running = false;
    await all;
    assert.deepEqual(Object.keys(outcomes), ['ok']);
    assert.deepEqual(edge.errors, []);
    assert.ok(edge.keys.stats().retried > 0, 'something was lost');
  });
}

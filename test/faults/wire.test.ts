/** Faults of the bytes between edge and key server: rows 6, 8, 10, 11 and 12 of docs/operations.md. */
import assert from 'node:assert/strict';
import { verify } from 'node:crypto';
import { after, before, test } from 'node:test';
import { connectKeyServers } from '../../lib/keys/key-servers.ts';
import { type ServerConnectionEnd, serverConnectionEnd } from '../../lib/server/channels.ts';
import { type BadKeyServer, type Manner, startBadKeyServer } from '../helpers/bad-key-server.ts';
import { type Edge, type EdgeOptions, startEdge, until } from '../helpers/edge.ts';
import { type FaultProxy, startFaultProxy } from '../helpers/fault-proxy.ts';
import { type KeyServerSetup, makeKeyServers } from '../helpers/key-servers.ts';
import { signOperation } from '../helpers/operations.ts';
import { stopwatch } from '../helpers/stopwatch.ts';

let setup: KeyServerSetup;
const open: { close(): Promise<void> }[] = [];

before(async () => {
  setup = await makeKeyServers(['rsa', 'p256']);
});
after(async () => {
  for (const each of open) await each.close();
});

async function badServer(manner: Manner = 'sign'): Promise<BadKeyServer> {
  const server = await startBadKeyServer(setup);
  server.manner = manner;
  open.push(server);
  return server;
}

async function proxyOf(server: { readonly port: number }): Promise<FaultProxy> {
  const proxy = await startFaultProxy(server.port);
  open.unshift(proxy);
  return proxy;
}

async function edgeOf(
  kind: 'rsa' | 'p256',
  servers: readonly { readonly address: string }[],
  options?: EdgeOptions,
): Promise<Edge> {
  const addresses = servers.map(({ address }) => address);
  const edge = await startEdge(setup, setup.sites[kind]!, addresses, options);
  open.unshift(edge);
  return edge;
}

/** No time-out is what these tests are about, and a busy machine takes its time. */
const PATIENCE = { connectTimeoutMs: 20_000, pingTimeoutMs: 20_000, timeoutMs: 60_000 };

/** Of an answer as it is on the wire: in a TLS record's header, in our header, in items, in the padding. */
const POSITIONS = 600;
const AT_ONCE = 8;

test('row 6: whichever byte of an answer a reset comes after, no partial answer is taken, and it is asked again', async () => {
  const site = setup.sites.p256!;
  const server = await badServer();
  let position = 0;
  const cutNext = async (proxy: FaultProxy) => {
    position += 1;
    const bytes = position;
    // A second connection would be cut as well, and the operation asked once more.
    const options = { ...setup.edgeOptions, ...PATIENCE, connectionsPerServer: 1 };
    const keys = connectKeyServers({ servers: [proxy.address], ...options });
    await keys.ready();
    proxy.cutAfter('down', bytes);
    const operation = signOperation(site.keyId, undefined, undefined, PATIENCE.timeoutMs);
    const signature = await keys.sign(operation);
    assert.ok(verify('sha256', operation.message, site.publicKey, signature), `${bytes}`);
    assert.equal(keys.stats().retried, 1, `${bytes}`);
    keys.close();
  };
  const cutting = async () => {
    const proxy = await proxyOf(server);
    while (position < POSITIONS) await cutNext(proxy);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, cutting));
  assert.equal(server.asked, 2 * POSITIONS);
});

for (const sliceBytes of [1, 7, 1460]) {
  test(`row 8: slices of ${sliceBytes} bytes, and frames merged, are the same signatures`, async () => {
    const server = await badServer({ reordered: 4 });
    const proxy = await proxyOf(server);
    proxy.faults.sliceBytes = sliceBytes;
    const edge = await edgeOf('p256', [proxy], PATIENCE);
    assert.deepEqual(await edge.visits(4), { ok: 4 });
  });
}

test('a byte that is flipped on the way is noticed by TLS, and the operation asked again', async () => {
  const server = await badServer();
  const proxy = await proxyOf(server);
  const edge = await edgeOf('p256', [proxy]);
  await edge.keys.ready();
  const took = stopwatch();
  proxy.flip('down', 100);
  assert.equal(await edge.visit(), 'ok');
  assert.equal(server.asked, 2);
  assert.ok(took() < 700, 'at once, before any ping');
});

test('a byte that is flipped on the way to a key server ends the connection there at once', async () => {
  const server = await setup.start();
  open.push(server);
  const proxy = await proxyOf(server);
  const edge = await edgeOf('p256', [proxy], { connectionsPerServer: 1 });
  await edge.keys.ready();
  const ended = new Promise<ServerConnectionEnd>((resolve) =>
    serverConnectionEnd.subscribe((message) => resolve(message as ServerConnectionEnd)),
  );
  proxy.flip('up', 100);
  assert.equal(await edge.visit(), 'ok');
  assert.match(String((await ended).error?.message), /bad record mac/i);
});

const REFUSED: readonly Manner[] = ['empty', 'too-long', '64-kib'];

for (const kind of ['rsa', 'p256'] as const) {
  for (const manner of REFUSED) {
    test(`row 10: ${kind}, ${String(manner)}: refused before OpenSSL sees it, once, by our code`, async () => {
      const server = await badServer(manner);
      const edge = await edgeOf(kind, [server]);
      assert.notEqual(await edge.visit(), 'ok');
      await until(() => edge.errors.length > 0);
      // A byte too many behind a DER signature is not DER.
      assert.deepEqual(edge.errors, ['ERR_KEYLESS_BAD_RESULT']);
      server.manner = 'sign';
      assert.equal(await edge.visit(), 'ok');
    });
  }
}

for (const manner of ['twice', 'unknown-ids'] as const) {
  test(`row 11: ${manner}: ignored and counted, and the connection stays`, async () => {
    const server = await badServer(manner);
    const edge = await edgeOf('p256', [server]);
    assert.deepEqual(await edge.visits(10), { ok: 10 });
    await until(() => edge.keys.stats().servers[0]!.unknownAnswers >= 10);
    assert.equal(edge.keys.stats().servers[0]!.failures, 0);
  });
}

test('row 11: answers in reverse order reach those who asked', async () => {
  const server = await badServer({ reordered: 8 });
  const edge = await edgeOf('p256', [server]);
  assert.deepEqual(await edge.visits(8), { ok: 8 });
});

test('row 11: one operation that times out takes no other with it, and its late answer is counted', async () => {
  const server = await badServer({ lateMs: 300 });
  const edge = await edgeOf('p256', [server]);
  await edge.keys.ready();
  const keyId = setup.sites.p256!.keyId;
  const hasty = edge.keys.sign(signOperation(keyId, undefined, undefined, 60));
  const patient = edge.keys.sign(signOperation(keyId));
  await assert.rejects(hasty, { code: 'ERR_KEYLESS_TIMEOUT' });
  assert.ok((await patient).length >= 68);
  await until(() => edge.keys.stats().servers[0]!.lateAnswers === 1);
  assert.equal(edge.keys.stats().servers[0]!.failures, 0);
});

test('row 12: garbage ends the connection, and another key server answers', async () => {
  const [bad, good] = [await badServer('garbage'), await badServer()];
  const edge = await edgeOf('p256', [bad, good]);
  await until(() => edge.keys.stats().servers.every(({ state }) => state === 'ready'));
  assert.deepEqual(await edge.visits(10), { ok: 10 });
  assert.deepEqual(edge.errors, []);
});

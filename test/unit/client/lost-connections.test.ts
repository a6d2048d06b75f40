/** What becomes of operations whose connections die. */
import assert from 'node:assert/strict';
import { performance } from 'node:perf_hooks';
import { after, before, test } from 'node:test';
import tls from 'node:tls';
import type { KeylessError } from '../../../lib/errors.ts';
import { until } from '../../helpers/edge.ts';
import { answer, RudeEdges, SIGNATURE, sign } from '../../helpers/rude-edges.ts';
import { type OnRequest, pong, type RudeKeyServer } from '../../helpers/rude-key-server.ts';

let edges: RudeEdges;
const rude: RudeEdges['rude'] = (...args) => edges.rude(...args);
const edge: RudeEdges['edge'] = (...args) => edges.edge(...args);

before(async () => {
  edges = await RudeEdges.make();
});
after(() => edges.close());

test('a connection that dies takes no operation with it: the other key server answers', async () => {
  let dropped = 0;
  const bad = await rude((_frame, socket) => {
    dropped += 1;
    socket.destroy();
  });
  const good = await rude();
  const keys = edge([bad, good]);
  await until(() => keys.stats().servers.every(({ state }) => state === 'ready'));
  const results = await Promise.all(Array.from({ length: 20 }, () => sign(keys)));
  assert.equal(results.length, 20);
  assert.ok(dropped > 0);
  assert.equal(keys.stats().failed, 0);
  assert.ok(keys.stats().retried > 0);
});

test('a key server alone that drops a connection is asked again on the next one', async () => {
  let times = 0;
  const server = await rude((frame, socket) => {
    times += 1;
    if (times === 1) socket.destroy();
    else answer(frame, socket);
  });
  const keys = edge([server]);
  assert.deepEqual(Buffer.from(await sign(keys)), SIGNATURE);
  assert.equal(times, 2);
});

/** Key servers of which these, by the order in which they are asked, end by the request, for good; and who was asked in this order. */
async function mortal(count: number, isMortal: (at: number) => boolean) {
  const [servers, asked]: [RudeKeyServer[], RudeKeyServer[]] = [[], []];
  for (let made = 0; made < count; made += 1) {
    const server: RudeKeyServer = await rude((frame, socket) => {
      asked.push(server);
      if (isMortal(asked.length)) void server.close();
      else answer(frame, socket);
    });
    servers.push(server);
  }
  const keys = edge(servers);
  await until(() => keys.stats().servers.every(({ ready }) => ready === 2));
  return { keys, asked };
}

test('three key servers of five end one after the other: the operation waits for none of them, but asks one that is there', async () => {
  const { keys, asked } = await mortal(5, (at) => at <= 3);
  assert.deepEqual(Buffer.from(await sign(keys)), SIGNATURE);
  assert.equal(new Set(asked).size, asked.length);
  assert.ok(keys.stats().servers.some(({ ready }) => ready === 0));
});

test('a request that key servers end by ends four of them', async () => {
  const { keys, asked } = await mortal(6, () => true);
  await assert.rejects(sign(keys), { code: 'ERR_KEYLESS_CONNECTION' });
  const ended = new Set(asked).size;
  // On a slow machine there may be a second request, too.
  assert.ok(ended >= 4 && ended <= 4 + keys.stats().hedged, `${ended} ended`);
});

test('key servers that end together are noticed one by one: what was lost thrice waits for a new connection', async () => {
  const servers: RudeKeyServer[] = [];
  const there = () => servers.flatMap(({ sockets }) => [...sockets]);
  let dying = new Set<unknown>();
  const asked: unknown[] = [];
  const onRequest: OnRequest = (frame, socket) => {
    asked.push(socket);
    // Whatever has come in its place meanwhile is of before the third loss too.
    if (asked.length === 3) dying = new Set(there());
    if (dying.has(socket)) socket.destroy();
    else answer(frame, socket);
  };
  const onPing: OnRequest = (frame, socket) =>
    dying.has(socket) ? void socket.destroy() : pong(frame, socket);
  servers.push(await rude(onRequest, { onPing }), await rude(onRequest, { onPing }));
  const keys = edge(servers);
  await until(() => keys.stats().servers.every(({ ready }) => ready === 2));
  dying = new Set(there());
  assert.equal(dying.size, 4);
  assert.deepEqual(Buffer.from(await sign(keys)), SIGNATURE);
  // On a slow machine there may be a second request, too.
  const { hedged, failed } = keys.stats();
  assert.equal(asked.length, 4 + hedged);
  assert.equal(new Set(asked).size, 4 + hedged);
  assert.equal(failed, 0);
});

test('a key server that always drops fails the operation after four attempts', async () => {
  let times = 0;
  const server = await rude((_frame, socket) => {
    times += 1;
    socket.destroy();
  });
  const keys = edge([server]);
  await assert.rejects(sign(keys, 5000), { code: 'ERR_KEYLESS_CONNECTION' });
  assert.equal(times, 4);
});

test('reconnecting is not a storm', async () => {
  const server = await rude((_frame, socket) => void socket.destroy());
  const keys = edge([server]);
  await keys.ready();
  const startedAt = performance.now();
  while (performance.now() - startedAt < 1000) await sign(keys).catch(() => undefined);
  // The last operation may have waited for its deadline.
  const perSecond = server.connections / ((performance.now() - startedAt) / 1000);
  assert.ok(perSecond <= 12, `${perSecond} connections in a second`);
});

/** A key server on the port, which ends its connections after the TLS handshake and before any answer, as one that crashes does. */
async function crashing(
  port: number,
): Promise<{ ended(count: number): Promise<void>; close(): Promise<void> }> {
  let ended = 0;
  const { server, authority } = edges.setup;
  const options = { cert: server.certPem, key: server.keyPem, ca: authority.certPem, requestCert: true };
  const it = tls.createServer({ ...options, ALPNProtocols: ['keyless-tls/1'] }, (socket) => {
    socket.on('error', () => undefined).destroy();
    ended += 1;
  });
  await new Promise<void>((resolve) => it.listen(port, '127.0.0.1', resolve));
  return {
    ended: (count) => until(() => ended >= count),
    close: () => new Promise((resolve) => it.close(() => resolve())),
  };
}

for (const ends of [1, 2]) {
  test(`a key server that crashes while it starts (${ends}): operations that wait for it wait on`, async () => {
    const server = await rude();
    const { port } = server;
    const keys = edge([server]);
    await keys.ready();
    await server.close();
    const waiting = Array.from({ length: 10 }, () => sign(keys));
    const crash = await crashing(port);
    await crash.ended(ends);
    await crash.close();
    await until(() => keys.stats().servers[0]!.state === 'waiting');
    assert.equal(keys.stats().waiting, 10);
    await rude(answer, { port });
    assert.equal((await Promise.all(waiting)).length, 10);
  });
}

test('a key server that ends connections before any answer, thrice in a row, is not waited for', async () => {
  const server = await rude();
  const { port } = server;
  const keys = edge([server]);
  await keys.ready();
  await server.close();
  const crash = await crashing(port);
  await assert.rejects(sign(keys, 10_000), ({ code, message }: KeylessError) => {
    assert.equal(code, 'ERR_KEYLESS_NO_KEY_SERVER');
    return /does it accept our certificate/.test(message);
  });
  await crash.close();
});

test('the only key server of an SRV record goes for good: what waits is answered by whom the record names next', async () => {
  const [first, next] = [await rude(), await rude()];
  let record = { name: '127.0.0.1', port: first.port, priority: 0 };
  let asked = 0;
  const keys = edge([], {
    servers: undefined,
    srv: 'x',
    async resolveSrv() {
      asked += 1;
      return [record];
    },
  });
  // When it was found nobody was connected: the next question comes a second later, and the third one after 30 s.
  await until(() => asked === 2);
  await first.close();
  const waiting = sign(keys);
  // The record is not changed before it has been asked for in vain.
  await until(() => asked === 4);
  record = { ...record, port: next.port };
  assert.deepEqual(Buffer.from(await waiting), SIGNATURE);
  await until(() => keys.stats().servers[0]!.ready > 0);
});

test('five operations that a key server leaves unanswered for a second open its breaker; less is the haste of the operations', async () => {
  const server = await rude(() => undefined);
  const keys = edge([server]);
  await until(() => keys.stats().servers[0]!.ready === 2);
  const inVain = (timeoutMs: number) =>
    Promise.all(
      Array.from({ length: 5 }, () => assert.rejects(sign(keys, timeoutMs), { code: 'ERR_KEYLESS_TIMEOUT' })),
    );
  await inVain(100);
  assert.equal(keys.stats().servers[0]!.breaker, 'closed');
  await inVain(1100);
  assert.equal(keys.stats().servers[0]!.breaker, 'open');
});

/** `close()`, whatever is going on: what is pending ends, and no connection and no alarm stays. */
import assert from 'node:assert/strict';
import { subscribe } from 'node:diagnostics_channel';
import { after, before, test } from 'node:test';
import type { KeyServers } from '../../../lib/keys/key-servers.ts';
import { encodeError } from '../../../lib/protocol/answers.ts';
import { CountingClock } from '../../helpers/counting-clock.ts';
import { until } from '../../helpers/edge.ts';
import { RudeEdges, sign } from '../../helpers/rude-edges.ts';
import type { OnRequest, RudeKeyServer } from '../../helpers/rude-key-server.ts';

let edges: RudeEdges;

before(async () => {
  edges = await RudeEdges.make();
});
after(() => edges.close());

const fail: OnRequest = ({ id }, socket) => void socket.write(encodeError(id, 8));
const silent: OnRequest = () => undefined;

/** What there is when `close()` is called. */
interface Scene {
  readonly manner?: OnRequest;
  /** @param pending gets what is to be ended */
  act?(keys: KeyServers, server: RudeKeyServer, pending: Promise<unknown>[]): Promise<unknown>;
}

const isReady = (keys: KeyServers) => until(() => keys.stats().servers.every(({ ready }) => ready === 2));

async function openBreaker(keys: KeyServers, server: RudeKeyServer): Promise<void> {
  await isReady(keys);
  for (let failures = 0; failures < 5; failures += 1) await assert.rejects(sign(keys));
  await until(() => keys.stats().servers[0]!.breaker === 'open');
  server.frozen = true;
}

async function isAsked(server: RudeKeyServer): Promise<void> {
  const before = server.chunks.length;
  await until(() => server.chunks.length > before);
}

const SCENES: Readonly<Record<string, Scene>> = {
  'the first connection is made': {},
  'the first connection is ready': { act: (keys) => keys.ready() },
  'all is idle': {
    async act(keys) {
      await isReady(keys);
      await sign(keys);
    },
  },
  'operations are pending': {
    manner: silent,
    async act(keys, server, pending) {
      await isReady(keys);
      pending.push(sign(keys), sign(keys));
      await isAsked(server);
    },
  },
  'operations wait for a key server to come back': {
    async act(keys, server, pending) {
      await isReady(keys);
      await server.close();
      await until(() => keys.stats().servers[0]!.state !== 'ready');
      pending.push(sign(keys), sign(keys));
    },
  },
  'ready() is awaited': {
    async act(keys, _server, pending) {
      pending.push(keys.ready());
    },
  },
  'other credentials are on their way': {
    async act(keys) {
      await isReady(keys);
      keys.setCredentials(edges.setup.edgeOptions);
    },
  },
  'the circuit breaker is open': { manner: fail, act: openBreaker },
  'the circuit breaker asks by ping': {
    manner: fail,
    async act(keys, server) {
      await openBreaker(keys, server);
      await isAsked(server);
    },
  },
};

for (const [name, { manner, act }] of Object.entries(SCENES)) {
  test(`close() while ${name}`, async () => {
    const clock = new CountingClock();
    const server = await edges.rude(manner);
    const keys = edges.edge([server], { clock });
    const pending: Promise<unknown>[] = [];
    await act?.(keys, server, pending);
    assert.ok(clock.pending > 0);
    keys.close();
    for (const each of pending) await assert.rejects(each, { code: 'ERR_KEYLESS_CLOSED' });
    await assert.rejects(sign(keys), { code: 'ERR_KEYLESS_CLOSED' });
    assert.equal(clock.pending, 0);
    await until(() => server.sockets.size === 0);
    assert.equal(clock.pending, 0);
  });
}

/** An edge whose SRV record has just lost the first key server, with operations under way there. @param onRequest of the next one */
async function leaving(count: number, onRequest?: OnRequest) {
  const clock = new CountingClock();
  let asked = 0;
  const gone = await edges.rude(() => {
    asked += 1;
  });
  const next = await edges.rude(onRequest);
  const recordOf = ({ port }: RudeKeyServer) => ({ name: '127.0.0.1', port, priority: 0 });
  let record = recordOf(gone);
  const keys = edges.edge([], {
    servers: undefined,
    srv: 'x',
    srvIntervalMs: 20,
    resolveSrv: async () => [record],
    clock,
  });
  await keys.ready();
  const pending = Array.from({ length: count }, () => sign(keys));
  await until(() => asked === count);
  record = recordOf(next);
  await until(() => keys.stats().servers[0]!.server === next.address && keys.stats().servers[0]!.ready === 2);
  return { clock, gone, keys, pending };
}

test('close() ends what is pending at a key server that has left the SRV record', async () => {
  const { clock, gone, keys, pending } = await leaving(3, () => undefined);
  assert.ok(gone.sockets.size > 0);
  keys.close();
  for (const each of pending) await assert.rejects(each, { code: 'ERR_KEYLESS_CLOSED' });
  await until(() => gone.sockets.size === 0);
  assert.equal(clock.pending, 0);
});

test('a key server that has left the SRV record is asked nothing more, however it ends', async () => {
  const states: unknown[] = [];
  const { clock, gone, keys, pending } = await leaving(8);
  const listener = (message: unknown) => void states.push((message as { state: unknown }).state);
  subscribe('keyless-tls:client:breaker', listener);
  const { pending: before } = clock;
  await gone.close();
  assert.equal((await Promise.all(pending)).length, 8, 'the other one answers');
  keys.close();
  assert.deepEqual(states, []);
  assert.ok(before > 0);
  assert.equal(clock.pending, 0);
});

/** Sessions that resume by id, where the store is this process, or a client that does not answer. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createClientPool } from 'redis';
import { leaseTicketKeys, type RedisClient, type SessionStore, sessionStore } from '../../lib/index.ts';
import { until } from '../helpers/edge.ts';
import { FaultProxy } from '../helpers/fault-proxy.ts';
import { ManualClock } from '../helpers/manual-clock.ts';
import { comeBack, firstVisit } from '../helpers/returning-client.ts';
import { resumes, SessionEdges } from '../helpers/session-edges.ts';
import { TicketSource } from '../helpers/ticket-source.ts';

let edges: SessionEdges;

/** What two edges share. */
function sharedMemory(): RedisClient {
  const entries = new Map<string, string>();
  return {
    isReady: true,
    getRange: async (key, start, end) => (entries.get(key) ?? '').slice(start, end + 1),
    set: async (key, value) => entries.set(key, value),
  };
}

/** As OpenSSL writes a session's time-out, up to 32,767 s: [2] INTEGER. */
function timeoutInDer(seconds: number): Buffer {
  const value = seconds < 128 ? [seconds] : [seconds >> 8, seconds & 255];
  return Buffer.from([0xa2, value.length + 2, 0x02, value.length, ...value]);
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

before(async () => {
  edges = await SessionEdges.make();
});
after(() => edges.close());

test('a client that never answers is asked 1,000 times at most', async () => {
  const silent: RedisClient = {
    isReady: true,
    getRange: () => new Promise(() => undefined),
    set: () => new Promise(() => undefined),
  };
  const one = await edges.edge({ redis: silent, timeoutMs: 1 });
  const find = (sessions: SessionStore) =>
    new Promise<unknown>((resolve) => {
      const server = one.server;
      sessions.use(server);
      server.emit('resumeSession', Buffer.alloc(32), (_: unknown, session: unknown) => resolve(session));
    });
  const answers = await Promise.all(Array.from({ length: 1200 }, () => find(one.sessions)));
  assert.ok(answers.every((answer) => answer === null));
  const { pending, failed } = one.sessions.stats();
  assert.deepEqual([pending, failed], [1000, 1200]);
});

test('while a client answers nothing, one handshake a second waits for it and the others do not; its first answer ends that', async () => {
  const late: (() => void)[] = [];
  let isSilent = true;
  const shared = sharedMemory();
  const redis: RedisClient = {
    ...shared,
    getRange: async (...entry) => {
      if (isSilent) await new Promise<void>((resolve) => late.push(resolve));
      return shared.getRange(...entry);
    },
  };
  const clock = new ManualClock();
  const one = await edges.edge({ redis, timeoutMs: 50, clock });
  const find = () =>
    new Promise<unknown>((resolve) => {
      one.server.emit('resumeSession', Buffer.alloc(32), (_: unknown, session: unknown) => resolve(session));
    });
  const waiting = find();
  clock.advance(50);
  assert.equal(await waiting, null);
  let answered = 0;
  for (let visit = 0; visit < 100; visit += 1) void find().then(() => (answered += 1));
  await turn();
  assert.deepEqual([answered, late.length], [100, 1]);
  clock.advance(950);
  const trial = find();
  void find().then(() => (answered += 1));
  await turn();
  assert.deepEqual([answered, late.length], [101, 2]);
  clock.advance(50);
  assert.equal(await trial, null);
  assert.equal(one.sessions.stats().pending, 2);
  isSilent = false;
  for (const answer of late) answer();
  await turn();
  const session = await firstVisit(one.goal);
  assert.equal(await resumes(one, session), true);
  assert.equal(one.sessions.stats().pending, 0);
});

test('a process that was busy for longer than it waits for the store reads what came meanwhile', async () => {
  const held: (() => void)[] = [];
  let isHeld = false;
  const shared = sharedMemory();
  const redis: RedisClient = {
    ...shared,
    getRange: async (...entry) => {
      if (isHeld) await new Promise<void>((resolve) => held.push(resolve));
      return shared.getRange(...entry);
    },
  };
  const clock = new ManualClock();
  const one = await edges.edge({ redis, timeoutMs: 50, clock });
  const session = await firstVisit(one.goal);
  isHeld = true;
  const resumed = resumes(one, session);
  await until(() => held.length === 1);
  clock.oversleep(1000);
  clock.advance(0);
  await turn();
  clock.advance(24);
  held[0]!();
  assert.equal(await resumed, true);
  assert.deepEqual([one.sessions.stats().failed, clock.pending], [0, 0]);
});

test('an entry lives as long as its session, also where the server has no sessionTimeout', async () => {
  const entries: number[] = [];
  const redis: RedisClient = {
    ...sharedMemory(),
    set: async (_key, _value, { expiration }) => entries.push(expiration.value),
  };
  for (const [more, seconds] of [[{ sessionTimeout: 60 }, 60] as const, [{}, 7200] as const]) {
    const { goal, server } = await edges.edge({ redis }, more);
    let session: Buffer | undefined;
    server.prependListener('newSession', (_, made) => {
      session = made;
    });
    await firstVisit(goal);
    assert.ok(session!.includes(timeoutInDer(seconds)), 'that is how long OpenSSL lets it live');
    assert.equal(entries.at(-1), seconds * 1000);
  }
});

test('without Redis sessions resume on the servers of one process', async () => {
  const one = await edges.edge();
  const session = await firstVisit(one.goal);
  assert.equal(await resumes(one, session), true);
  assert.equal(one.operations, 1);
});

describe('TLS 1.3 sessions that lie on the servers', () => {
  const version = 'TLSv1.3';

  test('resume without an operation, one after the other, and each is stored once', async () => {
    const one = await edges.edge();
    let session = await firstVisit({ ...one.goal, version });
    const { stored } = one.sessions.stats();
    for (let visit = 0; visit < 3; visit += 1) {
      const returned = await comeBack({ ...one.goal, version, session });
      assert.equal(returned.reused, true, `visit ${visit}`);
      session = returned.session!;
    }
    assert.equal(one.operations, 1);
    const stats = one.sessions.stats();
    assert.deepEqual([stats.found, stats.stored], [3, stored + 3]);
  });

  test('resume however the first message comes', async () => {
    const one = await edges.edge();
    const session = await firstVisit({ ...one.goal, version });
    const proxy = new FaultProxy(one.goal.port);
    await proxy.listen();
    proxy.faults.sliceBytes = 1;
    assert.equal((await comeBack({ ...one.goal, port: proxy.port, version, session })).reused, true);
    await proxy.close();
  });

  test('resume where the name chooses the context', async () => {
    const one = await edges.edge({}, { SNICallback: (_, done) => done(null) });
    const session = await firstVisit({ ...one.goal, version });
    assert.equal(await resumes(one, session, version), true);
    assert.equal(one.operations, 1);
  });

  test('do not resume after a hello-retry, where they are not stored, or in TLS 1.2: the handshake is a full one', async () => {
    const redis = sharedMemory();
    const one = await edges.edge({ redis });
    const retrying = await edges.edge({ redis }, { ecdhCurve: 'P-384' });
    const old = await edges.edge({ redis }, { maxVersion: 'TLSv1.2' });
    const session = await firstVisit({ ...one.goal, version });
    assert.equal(await resumes(retrying, session, version), false);
    assert.equal(await resumes(await edges.edge(), session, version), false);
    const both = { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3' } as const;
    const returned = await comeBack({ ...old.goal, version, session, more: both });
    assert.equal(returned.reused, false);
  });

  test('of a server without a store are asked for as Node does: by an id that says nothing', async () => {
    const asked: Buffer[] = [];
    const one = await edges.edge();
    const session = await firstVisit({ ...one.goal, version });
    const { server, goal } = await edges.withoutStore();
    server.on('resumeSession', (id: Buffer, done: (error: null, session: null) => void) => {
      asked.push(id);
      done(null, null);
    });
    await comeBack({ ...goal, version, session });
    assert.equal(asked.length, 1);
    assert.ok(!session.includes(asked[0]!));
  });
});

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`a store that a server uses takes the place of the one before, and of its lease (${version})`, async () => {
    const edge = await edges.edge();
    const goal = { ...edge.goal, version };
    const before = await firstVisit(goal);
    const lease = leaseTicketKeys(new TicketSource());
    await lease.ready();
    const sessions = sessionStore({ lease });
    sessions.use(edge.server);
    edge.lease.close();
    const { found, missed } = edge.sessions.stats();
    assert.equal((await comeBack({ ...goal, session: before })).reused, false);
    const session = await firstVisit(goal);
    await until(() => sessions.stats().stored > 0);
    assert.equal((await comeBack({ ...goal, session })).reused, true);
    assert.deepEqual([edge.sessions.stats().found, edge.sessions.stats().missed], [found, missed]);
    lease.close();
  });
}

test('options that are wrong are refused', async () => {
  const { lease } = await edges.edge();
  const { isReady: _, ...never } = sharedMemory();
  // Connected only once it is asked to: it has the methods of a client, and says `isOpen` only.
  const pool = createClientPool();
  const bad: unknown[] = [
    {},
    { lease: {} },
    { lease, redis: {} },
    { lease, redis: null },
    { lease, redis: never },
    { lease, redis: pool },
    { lease, maxEntries: 0 },
    { lease, timeoutMs: 1.5 },
  ];
  for (const options of [undefined, ...bad]) {
    assert.throws(() => sessionStore(options as never), { code: 'ERR_KEYLESS_INVALID_ARGUMENT' });
  }
});

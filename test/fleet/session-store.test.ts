/** Sessions that resume by id, where the store is this process, or a client that does not answer. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type RedisClient, type SessionStore, sessionStore } from '../../lib/index.ts';
import { firstVisit } from '../helpers/returning-client.ts';
import { resumes, SessionEdges } from '../helpers/session-edges.ts';

let edges: SessionEdges;

before(async () => {
  edges = await SessionEdges.make();
});
after(() => edges.close());

test('a client that never answers is asked 1,000 times at most', async () => {
  const silent: RedisClient = {
    isReady: true,
    get: () => new Promise(() => undefined),
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

test('without Redis sessions resume on the servers of one process', async () => {
  const one = await edges.edge();
  const session = await firstVisit(one.goal);
  assert.equal(await resumes(one, session), true);
  assert.equal(one.operations, 1);
});

test('options that are wrong are refused', async () => {
  const { lease } = await edges.edge();
  const bad: unknown[] = [
    {},
    { lease: {} },
    { lease, redis: {} },
    { lease, maxEntries: 0 },
    { lease, timeoutMs: 1.5 },
  ];
  for (const options of [undefined, ...bad]) {
    assert.throws(() => sessionStore(options as never), { code: 'ERR_KEYLESS_INVALID_ARGUMENT' });
  }
});

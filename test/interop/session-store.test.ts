/** Sessions that resume by id on every edge, through a real Redis that learns nothing and may go at any time. */
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { RedisServer } from '../helpers/redis-server.ts';
import { firstVisit } from '../helpers/returning-client.ts';
import { resumes, SessionEdges } from '../helpers/session-edges.ts';
import { stopwatch } from '../helpers/stopwatch.ts';

let edges: SessionEdges;
let redis: RedisServer;
let client: Awaited<ReturnType<RedisServer['connect']>>;

before(async () => {
  edges = await SessionEdges.make();
});
beforeEach(async () => {
  redis = await RedisServer.start();
  client = await redis.connect();
});
afterEach(async () => {
  client.destroy();
  await redis.kill();
});
after(() => edges.close());

test('a session resumes on another edge by its id, without an operation, and expires with sessionTimeout', async () => {
  const [one, two] = [
    await edges.edge({ redis: client }, { sessionTimeout: 100 }),
    await edges.edge({ redis: client }),
  ];
  const session = await firstVisit(one.goal);
  assert.equal(await resumes(two, session), true);
  assert.deepEqual([one.operations, two.operations], [1, 0]);
  assert.equal(one.sessions.stats().stored, 1);
  assert.equal(two.sessions.stats().found, 1);
  const [name] = await client.keys('keyless-tls:session:*');
  const ttl = await client.ttl(name!);
  assert.ok(ttl > 90 && ttl <= 100, String(ttl));
});

test('a TLS 1.3 session that lies in Redis resumes on another edge, without an operation', async () => {
  const [one, two] = [await edges.edge({ redis: client }), await edges.edge({ redis: client })];
  const session = await firstVisit({ ...one.goal, version: 'TLSv1.3' });
  assert.equal(await resumes(two, session, 'TLSv1.3'), true);
  assert.deepEqual([one.operations, two.operations], [1, 0]);
  assert.equal(two.sessions.stats().found, 1);
});

test('the store learns neither ids nor secrets', async () => {
  const one = await edges.edge({ redis: client });
  let keylog = '';
  const server = one.server;
  server.on('keylog', (line: Buffer) => {
    keylog += String(line);
  });
  let [id, plain]: Buffer[] = [];
  server.on('newSession', (sessionId: Buffer, data: Buffer) => {
    [id, plain] = [sessionId, data];
  });
  await firstVisit(one.goal);
  const [, , masterHex] = /^CLIENT_RANDOM (\S+) (\S+)/m.exec(keylog)!;
  const master = Buffer.from(masterHex!, 'hex');
  assert.ok(plain!.includes(master) && plain!.includes(id!), 'the session itself holds both');
  const names = await client.keys('*');
  assert.equal(names.length, 1);
  const value = Buffer.from((await client.get(names[0]!))!, 'base64');
  for (const secret of [master, id!]) {
    assert.ok(!value.includes(secret));
    assert.ok(!names[0]!.includes(secret.toString('hex')));
  }
});

test('an entry that was changed or exchanged costs a full handshake', async () => {
  const [one, two] = [await edges.edge({ redis: client }), await edges.edge({ redis: client })];
  const sessions = [await firstVisit(one.goal), await firstVisit(one.goal)];
  const [a, b] = (await client.keys('*')) as [string, string];
  const [ofA, ofB] = [await client.get(a), await client.get(b)];
  await client.set(a, ofB!);
  await client.set(b, ofA!);
  for (const session of sessions) assert.equal(await resumes(two, session), false);
  await client.set(a, 'not base64 at all, \u0000\uffff');
  await client.hSet('x', 'y', 'z');
  await client.rename('x', b);
  for (const session of sessions) assert.equal(await resumes(two, session), false);
});

test('an entry of half a gigabyte, as much as Redis takes, costs a full handshake and no memory', async () => {
  const one = await edges.edge({ redis: client });
  const session = await firstVisit(one.goal);
  const [name] = await client.keys('*');
  await client.setRange(name!, 2 ** 29 - 1, 'x');
  const before = process.memoryUsage().rss;
  assert.equal(await resumes(one, session), false);
  assert.ok(process.memoryUsage().rss - before < 64 * 2 ** 20);
  const { failed, pending, missed } = one.sessions.stats();
  assert.deepEqual([failed, pending, missed], [0, 0, 1]);
  assert.equal(await resumes(one, await firstVisit(one.goal)), true);
});

test('what was stored before an edge lost its lease it cannot open, and it stores nothing more', async () => {
  const [one, two] = [await edges.edge({ redis: client }), await edges.edge({ redis: client })];
  const session = await firstVisit(one.goal);
  two.source.error = new Error('revoked');
  two.clock.advance(1000);
  assert.equal(await resumes(two, session), false);
  await firstVisit(two.goal);
  assert.equal(two.sessions.stats().stored, 0);
  assert.equal(await resumes(one, session), true);
});

test('while Redis stands still handshakes wait their 100 ms and go on, and later it is used again', async () => {
  const [one, two] = [await edges.edge({ redis: client }), await edges.edge({ redis: client })];
  const session = await firstVisit(one.goal);
  redis.child.kill('SIGSTOP');
  const took = stopwatch();
  assert.equal(await resumes(two, session), false);
  const ms = took();
  assert.ok(ms < 1000, `${ms} ms`);
  assert.ok(two.sessions.stats().failed >= 1);
  redis.child.kill('SIGCONT');
  await client.ping();
  // Its answer comes in one piece with those before it; whoever waits for those has its turn then.
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(two.sessions.stats().pending, 0);
  assert.equal(await resumes(two, session), true);
});

test('when Redis has gone handshakes go on at once, and nothing queues up', async () => {
  const one = await edges.edge({ redis: client });
  await redis.kill();
  for (let visit = 0; visit < 5; visit += 1) await firstVisit(one.goal);
  const { failed, stored, pending } = one.sessions.stats();
  assert.deepEqual([stored, pending], [0, 0]);
  assert.ok(failed >= 5);
});

/** Sessions that resume by id on every edge, through a real Redis that learns nothing and may go at any time. */
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import type { Server } from 'node:tls';
import {
  createServer,
  leaseTicketKeys,
  localKey,
  type RedisClient,
  type SessionStore,
  type SessionStoreOptions,
  sessionStore,
} from '../../lib/index.ts';
import { type Authority, type Issued, makeAuthority } from '../helpers/certificates.ts';
import { close, listen } from '../helpers/connections.ts';
import { ManualClock } from '../helpers/manual-clock.ts';
import { RedisServer } from '../helpers/redis-server.ts';
import { comeBack, firstVisit } from '../helpers/returning-client.ts';
import { TicketSource } from '../helpers/ticket-source.ts';

const SSL_OP_NO_TICKET = 1 << 14;

let authority: Authority;
let issued: Issued;
let redis: RedisServer;
let client: Awaited<ReturnType<RedisServer['connect']>>;
const servers: Server[] = [];

before(async () => {
  authority = await makeAuthority();
  issued = await authority.issue({ type: 'p256' });
});
beforeEach(async () => {
  redis = await RedisServer.start();
  client = await redis.connect();
});
afterEach(async () => {
  client.destroy();
  await redis.kill();
});
after(() => Promise.all(servers.map(close)));

async function edge(store: Partial<SessionStoreOptions> = {}, sessionTimeout?: number) {
  const clock = new ManualClock();
  const source = new TicketSource();
  const lease = leaseTicketKeys(source, { clock });
  await lease.ready();
  const key = localKey(issued.keyPem);
  const edge = { operations: 0, sessions: sessionStore({ lease, ...store }), port: 0, lease, clock, source };
  const sign: typeof key.sign = (operation) => {
    edge.operations += 1;
    return key.sign(operation);
  };
  const options = { cert: issued.certPem, key: { ...key, sign }, secureOptions: SSL_OP_NO_TICKET };
  const server = createServer({ ...options, ...(sessionTimeout ? { sessionTimeout } : {}) }, (socket) =>
    socket.end('x'),
  );
  edge.sessions.use(server);
  edge.sessions.use(server);
  servers.push(server);
  edge.port = await listen(server);
  return edge;
}

type Edge = Awaited<ReturnType<typeof edge>>;

const goal = ({ port }: Edge) => ({ port, ca: authority.certPem, version: 'TLSv1.2' as const });
const resumes = async (to: Edge, session: Buffer) => (await comeBack({ ...goal(to), session })).reused;

test('a session resumes on another edge by its id, without an operation, and expires with sessionTimeout', async () => {
  const [one, two] = [await edge({ redis: client }, 100), await edge({ redis: client })];
  const session = await firstVisit(goal(one));
  assert.equal(await resumes(two, session), true);
  assert.deepEqual([one.operations, two.operations], [1, 0]);
  assert.equal(one.sessions.stats().stored, 1);
  assert.equal(two.sessions.stats().found, 1);
  const [name] = await client.keys('keyless-tls:session:*');
  const ttl = await client.ttl(name!);
  assert.ok(ttl > 90 && ttl <= 100, String(ttl));
});

test('the store learns neither ids nor secrets', async () => {
  const one = await edge({ redis: client });
  let keylog = '';
  const server = servers.at(-1)!;
  server.on('keylog', (line: Buffer) => {
    keylog += String(line);
  });
  let [id, plain]: Buffer[] = [];
  server.on('newSession', (sessionId: Buffer, data: Buffer) => {
    [id, plain] = [sessionId, data];
  });
  await firstVisit(goal(one));
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
  const [one, two] = [await edge({ redis: client }), await edge({ redis: client })];
  const sessions = [await firstVisit(goal(one)), await firstVisit(goal(one))];
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

test('what was stored before an edge lost its lease it cannot open, and it stores nothing more', async () => {
  const [one, two] = [await edge({ redis: client }), await edge({ redis: client })];
  const session = await firstVisit(goal(one));
  two.source.error = new Error('revoked');
  two.clock.advance(1000);
  assert.equal(await resumes(two, session), false);
  await firstVisit(goal(two));
  assert.equal(two.sessions.stats().stored, 0);
  assert.equal(await resumes(one, session), true);
});

test('while Redis stands still handshakes wait their 100 ms and go on, and later it is used again', async () => {
  const [one, two] = [await edge({ redis: client }), await edge({ redis: client })];
  const session = await firstVisit(goal(one));
  redis.child.kill('SIGSTOP');
  const since = performance.now();
  assert.equal(await resumes(two, session), false);
  assert.ok(performance.now() - since < 1000, `${performance.now() - since} ms`);
  assert.ok(two.sessions.stats().failed >= 1);
  redis.child.kill('SIGCONT');
  await client.ping();
  // Its answer comes in one piece with those before it; whoever waits for those has its turn then.
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(two.sessions.stats().pending, 0);
  assert.equal(await resumes(two, session), true);
});

test('when Redis has gone handshakes go on at once, and nothing queues up', async () => {
  const one = await edge({ redis: client });
  await redis.kill();
  for (let visit = 0; visit < 5; visit += 1) await firstVisit(goal(one));
  const { failed, stored, pending } = one.sessions.stats();
  assert.deepEqual([stored, pending], [0, 0]);
  assert.ok(failed >= 5);
});

test('a client that never answers is asked 1,000 times at most', async () => {
  const silent: RedisClient = {
    isReady: true,
    get: () => new Promise(() => undefined),
    set: () => new Promise(() => undefined),
  };
  const one = await edge({ redis: silent, timeoutMs: 1 });
  const find = (sessions: SessionStore) =>
    new Promise<unknown>((resolve) => {
      const server = servers.at(-1)!;
      sessions.use(server);
      server.emit('resumeSession', Buffer.alloc(32), (_: unknown, session: unknown) => resolve(session));
    });
  const answers = await Promise.all(Array.from({ length: 1200 }, () => find(one.sessions)));
  assert.ok(answers.every((answer) => answer === null));
  const { pending, failed } = one.sessions.stats();
  assert.deepEqual([pending, failed], [1000, 1200]);
});

test('without Redis sessions resume on the servers of one process', async () => {
  const one = await edge();
  const session = await firstVisit(goal(one));
  assert.equal(await resumes(one, session), true);
  assert.equal(one.operations, 1);
});

test('options that are wrong are refused', async () => {
  const { lease } = await edge();
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

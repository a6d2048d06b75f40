/** Where key servers are, and by which certificates they are known, changes: rows 26, 27, 30, 31 and 38. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net, { type AddressInfo, type LookupFunction } from 'node:net';
import { after, before, test } from 'node:test';
import tls from 'node:tls';
import type { SrvRecord } from '../../lib/client/srv-watch.ts';
import type { KeylessError } from '../../lib/errors.ts';
import { connectKeyServers } from '../../lib/keys/key-servers.ts';
import { type BadKeyServer, startBadKeyServer } from '../helpers/bad-key-server.ts';
import { makeAuthority } from '../helpers/certificates.ts';
import { type Edge, type EdgeOptions, startEdge, until } from '../helpers/edge.ts';
import { type KeyServerSetup, makeKeyServers } from '../helpers/key-servers.ts';
import { signOperation } from '../helpers/operations.ts';
import { stopwatch } from '../helpers/stopwatch.ts';

let setup: KeyServerSetup;
const open: { close(): unknown }[] = [];

before(async () => {
  setup = await makeKeyServers(['p256']);
});
after(async () => {
  for (const each of open) await each.close();
});

async function badServer(): Promise<BadKeyServer> {
  const server = await startBadKeyServer(setup);
  open.push(server);
  return server;
}

async function edgeOf(servers: readonly string[] | undefined, options?: EdgeOptions): Promise<Edge> {
  const edge = await startEdge(setup, setup.sites.p256!, servers, options);
  open.unshift(edge);
  return edge;
}

const record = ({ port }: { readonly port: number }, priority = 0): SrvRecord => ({
  name: '127.0.0.1',
  port,
  priority,
});

test('srv: who is named is connected, who is not any more finishes and goes, and no client sees it', async () => {
  const [one, other] = [await badServer(), await badServer()];
  let records = [record(one)];
  const srv = { srv: '_keyless._tcp.internal', resolveSrv: async () => records, srvIntervalMs: 20 };
  const edge = await edgeOf(undefined, srv);
  assert.deepEqual(await edge.visits(4), { ok: 4 });
  one.manner = { lateMs: 200 };
  const underWay = edge.visits(4);
  await until(() => one.asked === 8);
  records = [record(other)];
  await until(() => edge.keys.stats().servers[0]!.server.endsWith(`:${other.port}`));
  assert.deepEqual(await edge.visits(4), { ok: 4 });
  assert.deepEqual(await underWay, { ok: 4 });
  assert.equal(one.asked, 8);
  await until(() => one.sockets.size === 0);
  assert.equal(edge.keys.stats().retried, 0);
});

test('srv: those of a higher number are asked only while no other is there', async () => {
  const [main, spare] = [await badServer(), await badServer()];
  const records = [record(main, 1), record(spare, 2)];
  const edge = await edgeOf(undefined, { srv: 'keys', resolveSrv: async () => records });
  await edge.keys.ready();
  await until(() => edge.keys.stats().servers.every(({ ready }) => ready === 2));
  assert.deepEqual(await edge.visits(10), { ok: 10 });
  assert.equal(spare.asked, 0);
  await main.close();
  await until(() => edge.keys.stats().servers[0]!.ready === 0);
  assert.deepEqual(await edge.visits(10), { ok: 10 });
  assert.equal(spare.asked, 10);
});

test('srv: a DNS that does not answer: handshakes wait until it fails, and the error names the record', async () => {
  let fail: (error: Error) => void = () => undefined;
  const resolveSrv = () =>
    new Promise<SrvRecord[]>((_, reject) => {
      fail = reject;
    });
  const edge = await edgeOf(undefined, { srv: '_keyless._tcp.internal', resolveSrv });
  const visit = edge.visit();
  await until(() => edge.keys.stats().waiting === 1);
  fail(new Error('queryEsrv ETIMEOUT'));
  assert.notEqual(await visit, 'ok');
  assert.deepEqual(edge.errors, ['ERR_KEYLESS_NO_KEY_SERVER']);
  await assert.rejects(edge.keys.ready(), /_keyless\._tcp\.internal/);
});

test('wrong options for srv are told at once', () => {
  for (const options of [{ srv: '' }, { srv: 'a', servers: ['b'] }, { srv: 'a', srvIntervalMs: 0 }, {}]) {
    assert.throws(() => connectKeyServers({ ...setup.edgeOptions, ...options }), {
      code: 'ERR_KEYLESS_INVALID_ARGUMENT',
    });
  }
});

test('row 38: the name leads elsewhere: it is resolved at each connect', async () => {
  const server = await badServer();
  const resolved: string[] = [];
  let address = '127.0.0.2';
  const lookup: LookupFunction = (host, options, callback) => {
    resolved.push(host);
    if (options.all === true) callback(null, [{ address, family: 4 }]);
    else callback(null, address, 4);
  };
  const edge = await edgeOf([`localhost:${server.port}`], { lookup });
  await assert.rejects(edge.keys.ready(), { code: 'ERR_KEYLESS_NO_KEY_SERVER' });
  address = '127.0.0.1';
  await until(() => edge.keys.stats().servers[0]!.state === 'ready');
  assert.equal(await edge.visit(), 'ok');
  assert.ok(resolved.length >= 2 && resolved.every((host) => host === 'localhost'));
});

test('row 38: IPv6 only', async () => {
  const server = await badServer();
  const relay = net.createServer((socket) => {
    const onward = net.connect(server.port, '127.0.0.1');
    socket.pipe(onward).pipe(socket);
    for (const each of [socket, onward]) each.on('error', () => undefined);
  });
  relay.listen({ host: '::1', port: 0, ipv6Only: true });
  await once(relay, 'listening');
  open.unshift(relay);
  const { port } = relay.address() as AddressInfo;
  const edge = await edgeOf([`[::1]:${port}`], { servername: 'localhost' });
  assert.equal(await edge.visit(), 'ok');
});

test('row 31: other credentials under load, on the edge first: no client sees it', async () => {
  const [one, other] = [await badServer(), await badServer()];
  const edge = await edgeOf([one.address, other.address]);
  await edge.keys.ready();
  const next = await setup.authority.issue({ type: 'p256', usage: 'client', cn: 'renewed edge' });
  const visits = edge.visits(60);
  await until(() => one.asked + other.asked > 5);
  edge.keys.setCredentials({ ...setup.edgeOptions, cert: next.certPem, key: next.keyPem });
  assert.deepEqual(await visits, { ok: 60 });
  const subjects = () =>
    [...one.sockets, ...other.sockets].map((socket) => socket.getPeerX509Certificate()?.subject);
  await until(() => subjects().length === 4 && subjects().every((subject) => subject === 'CN=renewed edge'));
  const stats = edge.keys.stats();
  assert.deepEqual([stats.retried, stats.failed], [0, 0]);
});

test('row 31: other credentials before the first connection is there: handshakes wait for the next', async () => {
  const server = await badServer();
  const edge = await edgeOf([server.address]);
  const visits = edge.visits(5);
  edge.keys.setCredentials(setup.edgeOptions);
  assert.equal(await edge.visit(), 'ok');
  assert.deepEqual(await visits, { ok: 5 });
  assert.deepEqual([edge.errors, edge.keys.stats().servers[0]!.failures], [[], 0]);
});

test('row 31: credentials that the key servers do not accept: the old connections serve on, and the stats say why', async () => {
  const CONNECTIONS = 12;
  const server = await badServer();
  const edge = await edgeOf([server.address], { connectionsPerServer: CONNECTIONS });
  await until(() => edge.keys.stats().servers[0]!.ready === CONNECTIONS);
  const stranger = await (await makeAuthority('Another authority')).issue({ type: 'p256', usage: 'client' });
  edge.keys.setCredentials({ ...setup.edgeOptions, cert: stranger.certPem, key: stranger.keyPem });
  const stats = () => edge.keys.stats().servers[0]!;
  await until(() => stats().failures >= 1);
  assert.deepEqual(await edge.visits(5), { ok: 5 });
  assert.equal(stats().state, 'ready');
  await until(() => stats().failures >= 4);
  assert.ok(server.connections - CONNECTIONS <= stats().failures + 1, 'one at a time tries');
  assert.match(stats().lastError!.message, /accept our certificate/);
  const renewed = await setup.authority.issue({ type: 'p256', usage: 'client', cn: 'renewed edge' });
  edge.keys.setCredentials({ ...setup.edgeOptions, cert: renewed.certPem, key: renewed.keyPem });
  const subjects = () => [...server.sockets].map((socket) => socket.getPeerX509Certificate()?.subject);
  await until(
    () => subjects().length === CONNECTIONS && subjects().every((each) => each === 'CN=renewed edge'),
  );
  assert.equal(stats().lastError, undefined);
  assert.deepEqual(await edge.visits(5), { ok: 5 });
  assert.throws(() => edge.keys.setCredentials({ ...setup.edgeOptions, key: undefined }), {
    code: 'ERR_KEYLESS_INVALID_ARGUMENT',
  });
});

test("row 26: the edge's certificate is accepted no more: its handshakes fail at once, and the error says why", async () => {
  const server = await setup.start();
  open.push(server);
  const edge = await edgeOf([`127.0.0.1:${server.port}`], { connectionsPerServer: 1 });
  assert.equal(await edge.visit(), 'ok');
  server.setGrants({ clients: [] });
  // The connection that there was, and three that end unanswered: that it does not say why makes one of them no proof.
  await until(() => edge.keys.stats().servers[0]!.failures >= 4);
  const took = stopwatch();
  assert.notEqual(await edge.visit(), 'ok');
  assert.ok(took() < 500, 'nobody waits for what will not come');
  assert.deepEqual(edge.errors, ['ERR_KEYLESS_NO_KEY_SERVER']);
  await assert.rejects(edge.keys.sign(signOperation(setup.sites.p256!.keyId)), (error: KeylessError) =>
    /accept our certificate/.test((error.cause as Error).message),
  );
});

test('row 26: the same while another key server is merely dead: who waited in vain is told so, and by whom the edge is refused', async () => {
  const [dead, server] = [await badServer(), await setup.start()];
  open.push(server);
  const edge = await edgeOf([dead.address, `127.0.0.1:${server.port}`], { connectionsPerServer: 1 });
  const failures = (at: number) => edge.keys.stats().servers[at]!.failures;
  await until(() => edge.keys.stats().servers.every(({ ready }) => ready === 1));
  await dead.close();
  server.setGrants({ clients: [] });
  await until(() => failures(0) >= 2 && failures(1) >= 4);
  const operation = signOperation(setup.sites.p256!.keyId, undefined, undefined, 200);
  await assert.rejects(edge.keys.sign(operation), (error: KeylessError) => {
    assert.equal(error.code, 'ERR_KEYLESS_TIMEOUT');
    assert.match(error.message, /^No key server was there within \d+ ms\. .*accept our certificate/);
    return (error.cause as KeylessError).code === 'ERR_KEYLESS_CONNECTION';
  });
});

test('row 27: expired, another name, another authority, what Node has no code for, plain TCP: no request leaves, and each has its own error', async () => {
  const seen = new Map<string, string>();
  const look = async (what: string, port: number, options: EdgeOptions = {}): Promise<void> => {
    const keys = connectKeyServers({
      servers: [`127.0.0.1:${port}`],
      ...setup.edgeOptions,
      connectTimeoutMs: 500,
      ...options,
    });
    await assert.rejects(keys.ready(), (error: KeylessError) => {
      const inner = error.cause as KeylessError & { cause?: NodeJS.ErrnoException };
      seen.set(what, `${inner.code} ${inner.cause?.code ?? ''}`.trim());
      return error.code === 'ERR_KEYLESS_NO_KEY_SERVER';
    });
    keys.close();
  };
  const good = await badServer();
  const expired = await setup.authority.issue({ type: 'p256', usage: 'server', days: -1 });
  const old = tls.createServer({ cert: expired.certPem, key: expired.keyPem });
  const extended = await setup.authority.issue({
    type: 'p256',
    usage: 'server',
    more: ['1.2.3.4=critical,DER:05:00'],
  });
  const unknown = tls.createServer({ cert: extended.certPem, key: extended.keyPem });
  const plain = net.createServer((socket) => socket.on('error', () => undefined).end('220 mail\r\n'));
  for (const server of [old, unknown, plain]) {
    await once(server.listen(0, '127.0.0.1'), 'listening');
    open.push(server);
  }
  const portOf = (server: net.Server) => (server.address() as AddressInfo).port;
  await look('expired', portOf(old));
  await look('name', good.port, { servername: 'other.example' });
  await look('authority', good.port, { ca: (await makeAuthority('Another authority')).certPem });
  await look('extension', portOf(unknown));
  await look('plain', portOf(plain));
  assert.deepEqual(good.chunks, []);
  assert.deepEqual([...seen.values()].slice(0, 4), [
    'ERR_KEYLESS_KEY_SERVER_IDENTITY CERT_HAS_EXPIRED',
    'ERR_KEYLESS_KEY_SERVER_IDENTITY ERR_TLS_CERT_ALTNAME_INVALID',
    'ERR_KEYLESS_KEY_SERVER_IDENTITY SELF_SIGNED_CERT_IN_CHAIN',
    'ERR_KEYLESS_KEY_SERVER_IDENTITY UNSPECIFIED',
  ]);
  assert.match(seen.get('plain')!, /^ERR_KEYLESS_CONNECTION ERR_SSL_/);
});

test('row 27: a key server that was there comes back as somebody else: nobody waits for it', async () => {
  const stranger = await makeAuthority('Another authority');
  const impostor = { ...setup, server: await stranger.issue({ type: 'p256', usage: 'server' }) };
  const server = await badServer();
  const { port } = server;
  const edge = await edgeOf([server.address], { connectionsPerServer: 1 });
  assert.equal(await edge.visit(), 'ok');
  await server.close();
  open.push(await startBadKeyServer(impostor, { port }));
  await until(() => edge.keys.stats().servers[0]!.lastError?.code === 'ERR_KEYLESS_KEY_SERVER_IDENTITY');
  const took = stopwatch();
  assert.notEqual(await edge.visit(), 'ok');
  assert.ok(took() < 5000, 'its time would be 10 s');
  assert.deepEqual(edge.errors, ['ERR_KEYLESS_NO_KEY_SERVER']);
});

test('row 30: the wall clock jumps by a day, either way: no time-out moves', async (t) => {
  const server = await badServer();
  server.manner = { lateMs: 60 };
  const edge = await edgeOf([server.address]);
  await edge.keys.ready();
  const now = Date.now();
  for (const jump of [86_400_000, -86_400_000]) {
    const wallClock = t.mock.method(Date, 'now', () => now + jump);
    assert.ok((await edge.keys.sign(signOperation(setup.sites.p256!.keyId))).length >= 68);
    await assert.rejects(edge.keys.sign(signOperation(setup.sites.p256!.keyId, undefined, undefined, 20)), {
      code: 'ERR_KEYLESS_TIMEOUT',
    });
    wallClock.mock.restore();
  }
  assert.equal(edge.keys.stats().servers[0]!.failures, 0);
});

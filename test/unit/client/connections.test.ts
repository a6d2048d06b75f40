/** Several connections to one key server, and operations that were signed already. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type LookupFunction, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { connectKeyServers, type KeyServers, type KeyServersOptions } from '../../../lib/keys/key-servers.ts';
import { type BadKeyServer, startBadKeyServer } from '../../helpers/bad-key-server.ts';
import { makeAuthority } from '../../helpers/certificates.ts';
import { until } from '../../helpers/edge.ts';
import { makeServeFolder, startKeyServer } from '../../helpers/key-server-process.ts';
import { type KeyServerSetup, makeKeyServers } from '../../helpers/key-servers.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';
import { signOperation } from '../../helpers/operations.ts';

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

function edgeTo(servers: readonly BadKeyServer[], options: Partial<KeyServersOptions> = {}): KeyServers {
  const addresses = servers.map(({ address }) => address);
  const keys = connectKeyServers({ servers: addresses, ...setup.edgeOptions, ...options });
  open.unshift(keys);
  return keys;
}

const sign = (keys: KeyServers) => keys.sign(signOperation(setup.sites.p256!.keyId));

test('the spares are opened early, and take what is too much for one', async () => {
  const server = await badServer();
  const keys = edgeTo([server], { connectionsPerServer: 3 });
  await until(() => keys.stats().servers[0]!.ready === 3);
  // A key server that answers fast is trusted with more and more at once.
  await Promise.all(Array.from({ length: 1000 }, () => sign(keys)));
  server.asked = 0;
  server.manner = { reordered: 80 };
  const signed = Promise.all(Array.from({ length: 80 }, () => sign(keys)));
  await until(() => server.asked === 80);
  assert.equal(keys.stats().servers[0]!.inFlight, 80);
  assert.equal((await signed).length, 80);
  assert.equal(server.sockets.size, 3);
});

test('while it is not known whether a key server is there, one connection is tried, not all', async () => {
  const accepted: Socket[] = [];
  const silent = createServer((socket) => void accepted.push(socket)).listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const { port } = silent.address() as AddressInfo;
  const keys = connectKeyServers({
    ...{ servers: [`127.0.0.1:${port}`], ...setup.edgeOptions, connectionsPerServer: 4 },
  });
  await until(() => accepted.length > 0);
  // Connections are accepted in their order: when this one is, those that were begun before it have been.
  const probe = connect(port, '127.0.0.1');
  await once(probe, 'connect');
  await until(() => accepted.some(({ remotePort }) => remotePort === probe.localPort));
  assert.equal(accepted.length, 2);
  keys.close();
  probe.destroy();
  for (const socket of accepted) socket.destroy();
  silent.close();
});

test('a key server named by host holds no process, whichever of the addresses answers', async () => {
  const folder = await makeServeFolder({ site: setup.sites.p256!.keyPem });
  const { program, port, connect: connectTo } = await startKeyServer(folder);
  const held = () => process.getActiveResourcesInfo().filter((name) => /TCP|TLS/.test(name));
  const before = held();
  const lookup: LookupFunction = (_host, _options, done) =>
    done(null, [
      { address: '::1', family: 6 },
      { address: '127.0.0.1', family: 4 },
    ]);
  const keys = await connectTo({ servers: [`localhost:${port}`], lookup });
  assert.deepEqual(held(), before);
  keys.close();
  program.signal('SIGKILL');
  await program.ended;
  await folder.remove();
});

test('the loss of one of two connections costs nothing', async () => {
  const server = await badServer();
  const keys = edgeTo([server]);
  await until(() => keys.stats().servers[0]!.ready === 2);
  const [first] = server.sockets;
  const operations = Array.from({ length: 8 }, () => sign(keys));
  first!.destroy();
  await Promise.all(operations);
  assert.equal(keys.stats().failed, 0);
  await until(() => keys.stats().servers[0]!.ready === 2);
});

test('a key server that takes one connection and drops all others is left with one, without a storm', async () => {
  const server = await badServer();
  const keys = edgeTo([server]);
  await until(() => server.sockets.size > 0);
  const [kept] = server.sockets;
  const since = performance.now();
  while (performance.now() - since < 1500) {
    for (const socket of server.sockets) if (socket !== kept) socket.destroy();
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  assert.ok(server.connections <= 12, `${server.connections} connections`);
  assert.ok((await sign(keys)).length >= 68);
});

test('while one connection tries newer credentials in vain, those that are lost do not try them too', async () => {
  const COUNT = 8;
  const server = await badServer();
  const clock = new ManualClock();
  const keys = edgeTo([server], { connectionsPerServer: COUNT, clock });
  const stats = () => keys.stats().servers[0]!;
  await until(() => stats().ready === COUNT);
  const stranger = await (await makeAuthority('Another authority')).issue({ type: 'p256', usage: 'client' });
  keys.setCredentials({ ...setup.edgeOptions, cert: stranger.certPem, key: stranger.keyPem });
  await until(() => stats().failures === 1);
  // The first is there before its spares begin.
  for (const socket of [...server.sockets].slice(1)) socket.destroy();
  await until(() => stats().failures === COUNT);
  const before = server.connections;
  clock.advance(100);
  await until(() => stats().failures > COUNT);
  assert.equal(server.connections, before + 1);
  keys.setCredentials(setup.edgeOptions);
  await until(() => stats().connections === COUNT + 1);
  clock.advance(1000);
  await until(() => stats().ready === COUNT);
});

test('nor do they when the first one is lost, too, as long as none has been accepted', async () => {
  const COUNT = 8;
  const server = await badServer();
  const clock = new ManualClock();
  const keys = edgeTo([server], { connectionsPerServer: COUNT, clock });
  const stats = () => keys.stats().servers[0]!;
  await until(() => stats().ready === COUNT);
  const stranger = await (await makeAuthority('Another authority')).issue({ type: 'p256', usage: 'client' });
  keys.setCredentials({ ...setup.edgeOptions, cert: stranger.certPem, key: stranger.keyPem });
  await until(() => stats().failures === 1);
  const lost = [...server.sockets].slice(0, COUNT / 2);
  for (const socket of lost) socket.destroy();
  await until(() => stats().failures === 1 + lost.length);
  const before = server.connections;
  clock.advance(100);
  await until(() => stats().failures === 2 + lost.length);
  assert.equal(server.connections, before + 1);
  assert.ok((await sign(keys)).length >= 68, 'the others serve');
  keys.setCredentials(setup.edgeOptions);
  // The first, and those that are renewed.
  await until(() => stats().connections === COUNT + 1 + (COUNT - lost.length));
  clock.advance(1000);
  await until(() => stats().ready === COUNT);
});

test('other credentials are tried at once, however short ago others were refused, and waited for', async () => {
  const server = await badServer();
  const stranger = await (await makeAuthority('Another authority')).issue({ type: 'p256', usage: 'client' });
  const refused = { cert: stranger.certPem, key: stranger.keyPem };
  const keys = edgeTo([server], { ...refused, clock: new ManualClock() });
  await assert.rejects(keys.ready(), { code: 'ERR_KEYLESS_NO_KEY_SERVER' });
  await assert.rejects(sign(keys), { code: 'ERR_KEYLESS_NO_KEY_SERVER' });
  keys.setCredentials(setup.edgeOptions);
  const signed = sign(keys);
  await keys.ready();
  assert.ok((await signed).length >= 68);
});

test('what was signed on a connection that was lost is signed no more there: the loss is the error', async () => {
  const one = await badServer();
  const alone = edgeTo([one], { connectionsPerServer: 1 });
  await alone.ready();
  one.manner = 'hang-up';
  const failed = sign(alone);
  await until(() => one.asked === 1);
  one.manner = { error: 6 };
  await assert.rejects(failed, { code: 'ERR_KEYLESS_CONNECTION' });
});

test('the only key server, while it is being tried again: nobody waits for whoever tries', async () => {
  const server = await badServer();
  const keys = edgeTo([server]);
  await keys.ready();
  server.manner = { error: 8 };
  const failed = Array.from({ length: 10 }, () =>
    assert.rejects(sign(keys), { code: 'ERR_KEYLESS_KEY_SERVER_INTERNAL' }),
  );
  await Promise.all(failed);
  // It answers nobody before it has been asked by all.
  server.manner = { reordered: 4 };
  await until(() => keys.stats().servers[0]!.breaker === 'half-open');
  await Promise.all(Array.from({ length: 4 }, () => sign(keys)));
});

test('what nobody waits for any more is cancelled, and has not failed', async () => {
  const server = await badServer();
  const keys = edgeTo([server]);
  await keys.ready();
  server.manner = { lateMs: 200 };
  const left = new AbortController();
  const operations = [left.signal, undefined].map((signal) =>
    keys.sign({ ...signOperation(setup.sites.p256!.keyId), ...(signal && { signal }) }),
  );
  left.abort();
  await assert.rejects(operations[0]!, { code: 'ERR_KEYLESS_ABORTED' });
  await operations[1];
  const { succeeded, failed, cancelled } = keys.stats();
  assert.deepEqual([succeeded, failed, cancelled], [1, 0, 1]);
});

for (const [when, from] of [
  ['at once', 1],
  ['for a later connection', 2],
] as const) {
  test(`a lookup that throws ${when} is an attempt that failed, and is asked again`, async () => {
    const server = await badServer();
    let asked = 0;
    const { port } = new URL(`tls://${server.address}`);
    const keys = connectKeyServers({
      ...{ servers: [`localhost:${port}`], ...setup.edgeOptions, connectionsPerServer: 1 },
      lookup: (_name, options, callback) => {
        asked += 1;
        if (asked === from) throw new Error('no resolver today');
        if (options.all === true) callback(null, [{ address: '127.0.0.1', family: 4 }]);
        else callback(null, '127.0.0.1', 4);
      },
    });
    open.unshift(keys);
    await until(() => keys.stats().servers[0]!.ready === 1);
    for (const socket of server.sockets) socket.destroy();
    await until(() => asked > from && keys.stats().servers[0]!.ready === 1);
    assert.ok(keys.stats().servers[0]!.failures >= 1);
  });
}

for (const [what, failure] of [
  ['a text', 'ENOTFOUND'],
  ['an object', { code: 'ENOTFOUND' }],
  ['an object without a prototype', Object.assign(Object.create(null), { code: 'ENOTFOUND' })],
  ['an Error without a message', Object.assign(new Error(), { code: 'ENOTFOUND', message: undefined })],
] as const) {
  test(`a lookup that fails with ${what} is an attempt that failed, and the error says with what`, async () => {
    const server = await badServer();
    let isFailing = true;
    const keys = connectKeyServers({
      ...{ servers: [`localhost:${server.port}`], ...setup.edgeOptions, connectionsPerServer: 1 },
      lookup: (_name, options, callback) => {
        if (isFailing) setImmediate(callback, failure as Error, []);
        else if (options.all === true) callback(null, [{ address: '127.0.0.1', family: 4 }]);
        else callback(null, '127.0.0.1', 4);
      },
    });
    open.unshift(keys);
    await assert.rejects(keys.ready(), /cannot be reached or went away: ENOTFOUND$/);
    isFailing = false;
    await until(() => keys.stats().servers[0]!.ready === 1);
  });
}

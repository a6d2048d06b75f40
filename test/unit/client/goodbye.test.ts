/** Key servers that say goodbye, in good faith and not. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { connectKeyServers, type KeyServers } from '../../../lib/keys/key-servers.ts';
import { encodeGoodbye, encodePong } from '../../../lib/protocol/answers.ts';
import { type BadKeyServer, startBadKeyServer } from '../../helpers/bad-key-server.ts';
import { until } from '../../helpers/edge.ts';
import { type KeyServerSetup, makeKeyServers } from '../../helpers/key-servers.ts';
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

function edgeTo(...servers: BadKeyServer[]): KeyServers {
  const addresses = servers.map(({ address }) => address);
  const keys = connectKeyServers({ servers: addresses, ...setup.edgeOptions, connectionsPerServer: 1 });
  open.unshift(keys);
  return keys;
}

const sign = (keys: KeyServers) => keys.sign(signOperation(setup.sites.p256!.keyId));

test('the edge leaves when the last answer under way has come, and connects anew at once', async () => {
  const server = await badServer();
  const keys = edgeTo(server);
  await keys.ready();
  server.manner = { reordered: Number.POSITIVE_INFINITY };
  const underWay = sign(keys);
  await until(() => server.asked === 1);
  const [before] = server.sockets;
  before!.write(encodeGoodbye());
  await until(() => server.sockets.size === 2);
  server.manner = 'sign';
  assert.ok((await sign(keys)).length >= 68);
  assert.equal(before!.destroyed, false, 'the old connection is still there for its answer');
  server.release();
  assert.ok((await underWay).length >= 68);
  await until(() => before!.destroyed);
  const stats = keys.stats();
  assert.deepEqual([stats.retried, stats.failed, stats.servers[0]!.failures], [0, 0, 0]);
});

test('who has heard a goodbye sends elsewhere from that moment', async () => {
  const [going, staying] = [await badServer(), await badServer()];
  const keys = edgeTo(going, staying);
  await until(() => keys.stats().servers.every(({ ready }) => ready === 1));
  const closed = going.close.bind(going);
  for (const socket of going.sockets) socket.write(encodeGoodbye());
  await until(() => going.sockets.size === 0 || keys.stats().servers[0]!.ready === 0);
  const asked = going.asked;
  await Promise.all(Array.from({ length: 20 }, () => sign(keys)));
  assert.ok(going.asked - asked < 20);
  assert.equal(keys.stats().retried, 0);
  await closed();
});

test('what only looks like a goodbye is a stray answer', async () => {
  const server = await badServer();
  const keys = edgeTo(server);
  await keys.ready();
  const [socket] = server.sockets;
  socket!.write(encodePong(0xffffffff, undefined));
  socket!.write(encodePong(0xffffffff, Buffer.from('goodbyE')));
  socket!.write(encodePong(0xfffffffe, Buffer.from('goodbye')));
  await until(() => keys.stats().servers[0]!.unknownAnswers === 3);
  assert.equal(server.sockets.size, 1);
});

test('a key server that greets only to say goodbye is not connected to without end', async () => {
  const server = await badServer();
  const keys = edgeTo(server);
  let goodbyes = 0;
  const since = performance.now();
  while (performance.now() - since < 2000) {
    for (const socket of server.sockets) {
      goodbyes += 1;
      socket.write(encodeGoodbye());
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.ok(goodbyes > 0);
  assert.ok(server.connections <= 16, `${server.connections} connections in two seconds`);
  keys.close();
});

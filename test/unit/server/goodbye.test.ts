/** A key server that ends says so to edges of ours, and serves what they had sent by then. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { connectKeyServers, type KeyServers } from '../../../lib/keys/key-servers.ts';
import { encodeGoodbye } from '../../../lib/protocol/answers.ts';
import { pingRequest } from '../../../lib/protocol/request-encoder.ts';
import { startBadKeyServer } from '../../helpers/bad-key-server.ts';
import { until } from '../../helpers/edge.ts';
import { type KeyServerSetup, makeKeyServers } from '../../helpers/key-servers.ts';
import { signOperation } from '../../helpers/operations.ts';
import { connectPeer } from '../../helpers/wire-peer.ts';

/** docs/protocol.md, "Goodbye". */
const GOODBYE_ID = 0xffffffff;

let setup: KeyServerSetup;
const open: { close(): unknown }[] = [];

before(async () => {
  setup = await makeKeyServers(['p256']);
});
after(async () => {
  for (const each of open) await each.close();
});

const payload = (text: string) => ({ kind: 'pong', payload: Buffer.from(text) }) as const;

test('an edge of ours is told, is read for a while, and the server ends when the edge has', async () => {
  const server = await setup.start();
  const peer = await connectPeer(server.port, setup.edgeOptions);
  await peer.ask(pingRequest());
  const closed = server.close();
  const answer = await peer.answer(GOODBYE_ID);
  assert.deepEqual(
    { ...answer, payload: Buffer.from((answer as { payload: Uint8Array }).payload) },
    payload('goodbye'),
  );
  assert.equal((await peer.ask(pingRequest(Buffer.from('still there?')))).kind, 'pong');
  const since = performance.now();
  peer.socket.end();
  await closed;
  assert.ok(performance.now() - since < 400);
});

test('who does not end its side is read no further after half a second', async () => {
  const server = await setup.start();
  const peer = await connectPeer(server.port, setup.edgeOptions);
  await peer.ask(pingRequest());
  const since = performance.now();
  await server.close();
  assert.ok(performance.now() - since < 2000);
  await peer.closed;
});

test('an edge of the field is told nothing, and ended as soon as its answers have left', async () => {
  const server = await setup.start();
  const peer = await connectPeer(server.port, setup.edgeOptions, 'field');
  await peer.ask(pingRequest());
  const since = performance.now();
  await server.close();
  await peer.closed;
  assert.ok(performance.now() - since < 400);
  assert.equal(peer.answers.has(GOODBYE_ID), false);
});

function edgeTo(port: number): KeyServers {
  const servers = [`127.0.0.1:${port}`];
  const keys = connectKeyServers({ servers, ...setup.edgeOptions, connectionsPerServer: 1 });
  open.unshift(keys);
  return keys;
}

test('our edge leaves when the last answer under way has come, and connects anew at once', async () => {
  const server = await startBadKeyServer(setup);
  open.push(server);
  const keys = edgeTo(server.port);
  await keys.ready();
  const { keyId } = setup.sites.p256!;
  server.manner = { lateMs: 150 };
  const underWay = keys.sign(signOperation(keyId));
  await until(() => server.asked === 1);
  const [before] = server.sockets;
  before!.write(encodeGoodbye());
  await until(() => server.sockets.size === 2);
  server.manner = 'sign';
  assert.ok((await keys.sign(signOperation(keyId))).length >= 68);
  assert.equal(before!.destroyed, false, 'the old connection is still there for its answer');
  assert.ok((await underWay).length >= 68);
  await until(() => before!.destroyed);
  const stats = keys.stats();
  assert.deepEqual([stats.retried, stats.failed, stats.servers[0]!.failures], [0, 0, 0]);
});

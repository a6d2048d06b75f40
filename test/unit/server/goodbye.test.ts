/** A key server that ends says so to edges of ours, and serves what they had sent by then. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { before, test } from 'node:test';
import { pingRequest } from '../../../lib/protocol/request-encoder.ts';
import { type KeyServerSetup, makeKeyServers } from '../../helpers/key-servers.ts';
import { stopwatch } from '../../helpers/stopwatch.ts';
import { connectPeer } from '../../helpers/wire-peer.ts';

/** docs/protocol.md, "Goodbye". */
const GOODBYE_ID = 0xffffffff;

let setup: KeyServerSetup;

before(async () => {
  setup = await makeKeyServers(['p256']);
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
  const took = stopwatch();
  peer.socket.end();
  await closed;
  assert.ok(took() < 400);
});

test('who does not end its side is read no further after half a second', async () => {
  const server = await setup.start();
  const peer = await connectPeer(server.port, setup.edgeOptions);
  await peer.ask(pingRequest());
  const took = stopwatch();
  await server.close();
  assert.ok(took() < 2000);
  await peer.closed;
});

test('an edge of the field is told nothing, and ended as soon as its answers have left', async () => {
  const server = await setup.start();
  const peer = await connectPeer(server.port, setup.edgeOptions, 'field');
  await peer.ask(pingRequest());
  const took = stopwatch();
  await server.close();
  await peer.closed;
  assert.ok(took() < 400);
  assert.equal(peer.answers.has(GOODBYE_ID), false);
});

test('who was on the way when the server closed is told as well, and does not hold it up', async () => {
  const server = await setup.start();
  const raw = net.connect(server.port, '127.0.0.1');
  await once(raw, 'connect');
  // Accepted: the server has answered somebody who came later.
  const other = await connectPeer(server.port, setup.edgeOptions);
  await other.ask(pingRequest());
  const took = stopwatch();
  const closed = server.close();
  const late = await connectPeer(server.port, setup.edgeOptions, 'ours', { socket: raw });
  await late.answer(GOODBYE_ID);
  late.socket.end();
  other.socket.end();
  await closed;
  assert.ok(took() < 1000);
});

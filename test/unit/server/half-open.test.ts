/** Places for connections: nobody takes them all. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net, { type Socket } from 'node:net';
import { before, test } from 'node:test';
import { pingRequest } from '../../../lib/protocol/request-encoder.ts';
import { type ServerConnectionRefused, serverConnectionRefused } from '../../../lib/server/channels.ts';
import { HalfOpen } from '../../../lib/server/half-open.ts';
import { closed } from '../../helpers/closed.ts';
import { type KeyServerSetup, makeKeyServers } from '../../helpers/key-servers.ts';
import { connectPeer } from '../../helpers/wire-peer.ts';

let setup: KeyServerSetup;
before(async () => {
  setup = await makeKeyServers(['p256']);
});

/** Connections that say nothing. */
async function silent(port: number, count: number): Promise<Socket[]> {
  const sockets = Array.from({ length: count }, () => net.connect(port, '127.0.0.1').resume());
  for (const socket of sockets) socket.on('error', () => undefined);
  await Promise.all(sockets.map((socket) => once(socket, 'connect')));
  return sockets;
}

test('connections that say nothing make way, the oldest first, and keep nobody out', async () => {
  const reasons: string[] = [];
  const listener = (message: unknown) => void reasons.push((message as ServerConnectionRefused).reason);
  serverConnectionRefused.subscribe(listener);
  const server = await setup.start({ maxConnections: 5, maxHandshakes: 10, handshakeTimeoutMs: 3_600_000 });
  const first = await silent(server.port, 10);
  const gone = Promise.all(first.slice(0, 5).map((socket) => closed(socket)));
  const second = await silent(server.port, 5);
  await gone;
  const peer = await connectPeer(server.port, setup.edgeOptions);
  assert.equal((await peer.ask(pingRequest())).kind, 'pong');
  assert.deepEqual(reasons, Array(6).fill('too-many'));
  assert.equal(server.stats().refused, 6);
  assert.deepEqual(
    [...first.slice(6), ...second].filter(({ closed }) => closed),
    [],
  );
  serverConnectionRefused.unsubscribe(listener);
  for (const socket of [...first, ...second]) socket.destroy();
  peer.close();
  await server.close();
});

test('who comes from elsewhere keeps its place', () => {
  const destroyed: string[] = [];
  const from = (remoteAddress: string) =>
    ({
      remoteAddress,
      on: () => undefined,
      destroy: () => destroyed.push(remoteAddress),
    }) as unknown as Socket;
  const places = new HalfOpen(4);
  for (const address of ['192.0.2.1', '2001:db8::1', '2001:db8::2', '2001:db8:0:1::1', '192.0.2.2'])
    places.add(from(address));
  assert.deepEqual(destroyed, ['2001:db8::1'], 'one network of IPv6 is one address');
  places.add(from('192.0.2.1'));
  assert.deepEqual(destroyed.slice(1), ['192.0.2.1']);
});

test('a client has so many connections and no more', async () => {
  const server = await setup.start({ maxConnectionsPerClient: 2 });
  const peers = [
    await connectPeer(server.port, setup.edgeOptions),
    await connectPeer(server.port, setup.edgeOptions),
  ];
  const third = await connectPeer(server.port, setup.edgeOptions);
  await third.closed;
  for (const peer of peers) assert.equal((await peer.ask(pingRequest())).kind, 'pong');
  assert.equal(server.stats().connections, 2);
  for (const peer of peers) peer.close();
  await server.close();
});

test('where all places are taken the client with the most gives one up to one that has fewer', async () => {
  const server = await setup.start({ maxConnections: 4 });
  const issued = await setup.authority.issue({ type: 'p256', usage: 'client', cn: 'edge 2' });
  const other = { ...setup.edgeOptions, cert: issued.certPem, key: issued.keyPem };
  const peers = [await connectPeer(server.port, other)];
  const flood = [];
  for (let count = 0; count < 4; count += 1) flood.push(await connectPeer(server.port, setup.edgeOptions));
  await flood.at(-1)!.closed;
  peers.push(await connectPeer(server.port, other));
  for (const peer of peers) assert.equal((await peer.ask(pingRequest())).kind, 'pong');
  await flood[0]!.closed;
  // Now each has two.
  for (const credentials of [other, setup.edgeOptions])
    await (await connectPeer(server.port, credentials)).closed;
  for (const peer of [...peers, ...flood.slice(1, 3)])
    assert.equal((await peer.ask(pingRequest())).kind, 'pong');
  for (const peer of [...peers, ...flood]) peer.close();
  await server.close();
});

/** Peers that leave, or stay, before they are through TLS: neither keeps a key server from its end. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { before, test } from 'node:test';
import { type KeyServerSetup, makeKeyServers } from '../../helpers/key-servers.ts';

/** Longer than the runner's own time-out. */
const NEVER_MS = 600_000;
/** A TLS record of a handshake, of which the rest does not come. */
const BEGUN = Buffer.from('160301020001000100', 'hex');

let setup: KeyServerSetup;
before(async () => {
  setup = await makeKeyServers(['p256']);
});

test('who goes in its TLS handshake has gone, before that has a time-out', async () => {
  const server = await setup.start({ handshakeTimeoutMs: NEVER_MS });
  const peer = net.connect({ port: server.port, host: '127.0.0.1', allowHalfOpen: true });
  peer.end(BEGUN);
  peer.resume();
  await once(peer, 'end');
  peer.destroy();
  assert.equal(server.stats().refused, 1);
  await server.close();
});

test('who stays in its TLS handshake does not keep the key server from its end', async () => {
  const server = await setup.start({ handshakeTimeoutMs: NEVER_MS, closeTimeoutMs: 50 });
  const peer = net.connect(server.port, '127.0.0.1');
  peer.on('error', () => undefined);
  peer.write(BEGUN);
  await once(peer, 'connect');
  peer.resume();
  const ended = once(peer, 'close');
  await server.close();
  await ended;
});

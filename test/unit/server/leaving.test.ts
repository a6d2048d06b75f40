/** A key server's end: peers that leave, or stay, before they are through TLS do not keep it from that. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { before, test } from 'node:test';
import { keyStoreOf } from '../../../lib/index.ts';
import { pingRequest } from '../../../lib/protocol/request-encoder.ts';
import { createKeyServer } from '../../../lib/server/key-server.ts';
import { closed } from '../../helpers/closed.ts';
import { type KeyServerSetup, makeKeyServers } from '../../helpers/key-servers.ts';
import { connectPeer } from '../../helpers/wire-peer.ts';

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
  peer.write(BEGUN);
  await once(peer, 'connect');
  peer.resume();
  const ended = closed(peer);
  await server.close();
  await ended;
});

for (const profile of ['ours', 'field'] as const) {
  test(`close() that is called again, by a signal and a block that is left, is the same end (${profile})`, async () => {
    const server = await setup.start();
    const peer = await connectPeer(server.port, setup.edgeOptions, profile);
    await peer.ask(pingRequest());
    const calls = [server.close(), server.close()];
    await new Promise(setImmediate);
    calls.push(server[Symbol.asyncDispose]());
    peer.close();
    await Promise.all(calls);
    assert.equal(server.stats().connections, 0);
    await server.close();
  });
}

test('a key server that was closed, or is to end, listens no more', async () => {
  const [ended, gone] = [await setup.start(), await setup.start()];
  const ending = ended.close();
  await assert.rejects(ended.listen(0), { code: 'ERR_KEYLESS_CLOSED', message: /make another one/ });
  await ending;
  await assert.rejects(ended.listen(0), { code: 'ERR_KEYLESS_CLOSED' });
  gone.destroy();
  await assert.rejects(gone.listen(0), { code: 'ERR_KEYLESS_CLOSED' });
  await gone.close();
});

for (const host of ['127.0.0.1', 'localhost']) {
  for (const end of ['close', 'destroy'] as const) {
    test(`listen() of a key server that ends before it listens is rejected: ${end}(), ${host}`, async () => {
      const { server, authority } = setup;
      const made = createKeyServer({
        cert: server.certPem,
        key: server.keyPem,
        ca: authority.certPem,
        keys: keyStoreOf([]),
      });
      const listening = assert.rejects(made.listen(0, host), { code: 'ERR_KEYLESS_CLOSED' });
      const ended = made[end]();
      await listening;
      await ended;
      await made.close();
      assert.equal(made.address(), null);
    });
  }
}

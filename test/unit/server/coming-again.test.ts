/** A client that ends its connection and makes another is the same client: what it has used up is used up. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { signRequest } from '../../../lib/protocol/request-encoder.ts';
import { certificateVerify } from '../../helpers/handshake-messages.ts';
import { type KeyServerSetup, makeKeyServers } from '../../helpers/key-servers.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';
import { connectPeer, type WirePeer } from '../../helpers/wire-peer.ts';

/** docs/key-server.md, "Under load". */
const REFUSALS_AT_ONCE = 2000;

let setup: KeyServerSetup;
before(async () => {
  setup = await makeKeyServers(['p256']);
});

/** For a key that is not there. */
function refused(peer: WirePeer) {
  return peer.ask(signRequest('ecdsa_secp256r1_sha256', certificateVerify(), { keyId: Buffer.alloc(20) }));
}

test('it has no more refusals for it, and after a rest as many as anybody', async () => {
  const clock = new ManualClock();
  const server = await setup.start({ clock, idleTimeoutMs: 3_600_000 });
  const connect = () => connectPeer(server.port, setup.edgeOptions);
  const leave = async (peer: WirePeer) => {
    peer.close();
    while (server.stats().connections > 0) await new Promise(setImmediate);
  };
  const first = await connect();
  await Promise.all(Array.from({ length: REFUSALS_AT_ONCE }, () => refused(first)));
  await leave(first);
  const second = await connect();
  // The one too many is answered, and the client waits afterwards.
  await refused(second);
  let answered = false;
  const next = refused(second).then(() => {
    answered = true;
  });
  for (let turns = 0; turns < 100; turns += 1) await new Promise(setImmediate);
  assert.equal(answered, false);
  clock.advance(20);
  await next;
  await leave(second);
  clock.advance(2000);
  const third = await connect();
  await Promise.all(Array.from({ length: REFUSALS_AT_ONCE }, () => refused(third)));
  await leave(third);
  await server.close();
});

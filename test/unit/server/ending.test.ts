/** A key server that ends with more under way than it can do by then: each request that it has read is answered. */
import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { before, test } from 'node:test';
import { setSigningThreads } from '../../../lib/engine/signing-threads.ts';
import { pingRequest, signRequest } from '../../../lib/protocol/request-encoder.ts';
import { type ServerOperation, serverOperation } from '../../../lib/server/channels.ts';
import { certificateVerify } from '../../helpers/handshake-messages.ts';
import { type HeldKey, heldKey } from '../../helpers/held-key.ts';
import { type KeyServerSetup, makeKeyServers } from '../../helpers/key-servers.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';
import { connectPeer, type WirePeer } from '../../helpers/wire-peer.ts';

/** docs/protocol.md, "Goodbye". */
const GOODBYE_ID = 0xffffffff;
const CLOSE_MS = 5000;
/** Before the end of that, what has not begun is not done any more; half of it before, nor is what has. */
const LAST_WORDS_MS = 1000;

let setup: KeyServerSetup;
let held: HeldKey;
let clock: ManualClock;
before(() => setSigningThreads(1));
before(async () => {
  setup = await makeKeyServers(['rsa']);
});

function start(maxInFlight: number) {
  held = heldKey(setup.sites.rsa!.keyId);
  clock = new ManualClock();
  const numbers = { maxInFlight, maxInFlightPerClient: maxInFlight, closeTimeoutMs: CLOSE_MS };
  return setup.start({ ...numbers, keys: held.keys, clock, idleTimeoutMs: 3_600_000 });
}

function request() {
  return signRequest('rsa_pss_rsae_sha256', certificateVerify(), { keyId: setup.sites.rsa!.keyId });
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(setImmediate);
}

/** How many answers there are of each code; 0: signatures. */
function codesOf(peer: WirePeer): Readonly<Record<number, number>> {
  const codes: Record<number, number> = {};
  for (const [id, answer] of peer.answers) {
    if (id === GOODBYE_ID) continue;
    const code = answer.kind === 'error' ? answer.code : 0;
    codes[code] = (codes[code] ?? 0) + 1;
  }
  return codes;
}

test('what is under way is done, what cannot be begun in time or done is answered, and both are told of', async () => {
  const server = await start(2000);
  const told: (string | undefined)[] = [];
  const listener = (message: unknown) => void told.push((message as ServerOperation).refusal);
  subscribe(serverOperation.name, listener);
  const peer = await connectPeer(server.port, setup.edgeOptions);
  for (let count = 0; count < 900; count += 1) peer.send(request());
  await until(() => server.stats().inFlight === 900);
  const atOnce = held.begun();
  const closed = server.close();
  await peer.answer(GOODBYE_ID);
  clock.advance(CLOSE_MS - LAST_WORDS_MS - 1);
  held.release();
  await until(() => codesOf(peer)[0] === atOnce && held.begun() === 2 * atOnce);
  clock.advance(1);
  await until(() => codesOf(peer)[8] === 900 - 2 * atOnce);
  // Those that have begun have half a second more.
  held.release();
  await until(() => codesOf(peer)[0] === 2 * atOnce);
  assert.equal(held.begun(), 2 * atOnce, 'no other has begun');
  peer.socket.end();
  await closed;
  unsubscribe(serverOperation.name, listener);
  const { unfinished, inFlight } = server.stats();
  assert.deepEqual([unfinished, inFlight, peer.answers.size], [900 - 2 * atOnce, 0, 901]);
  assert.equal(told.filter((refusal) => refusal === 'ending').length, unfinished);
});

test('what a holder does not do in time is answered, too; what it does later goes nowhere', async () => {
  const server = await start(100);
  const peer = await connectPeer(server.port, setup.edgeOptions);
  for (let count = 0; count < 5; count += 1) peer.send(request());
  await until(() => server.stats().inFlight === 5);
  const closed = server.close();
  await peer.answer(GOODBYE_ID);
  clock.advance(CLOSE_MS - LAST_WORDS_MS / 2 - 1);
  await new Promise(setImmediate);
  assert.deepEqual(codesOf(peer), {});
  clock.advance(1);
  await until(() => codesOf(peer)[8] === 5);
  held.release();
  peer.socket.end();
  await closed;
  assert.deepEqual([server.stats().unfinished, codesOf(peer)], [5, { 8: 5 }]);
});

test('what is still being signed when a broken frame comes is answered before the connection ends', async () => {
  const server = await start(100);
  const peer = await connectPeer(server.port, setup.edgeOptions);
  peer.send(request(), 1);
  peer.socket.write(Buffer.from('0100000400000002110002f1', 'hex'));
  peer.send(request(), 3);
  await until(() => held.begun() === 1);
  await until(() => server.stats().inFlight === 1);
  held.release();
  await peer.closed;
  assert.deepEqual([[...peer.answers.keys()], held.begun()], [[1], 1]);
  await server.close();
});

test('an edge of the field has what had come by then done, and what comes later answered', async () => {
  const server = await start(10);
  const peer = await connectPeer(server.port, setup.edgeOptions, 'field');
  peer.socket.cork();
  for (let count = 0; count < 15; count += 1) peer.send(request());
  peer.socket.uncork();
  await until(() => held.begun() === 10);
  const closed = server.close();
  held.release();
  await until(() => codesOf(peer)[0] === 10 && held.begun() === 15);
  for (let count = 0; count < 7; count += 1) peer.send(request());
  await until(() => codesOf(peer)[8] === 7);
  assert.equal(held.begun(), 15);
  held.release();
  await Promise.all([closed, peer.closed]);
  assert.deepEqual([server.stats().unfinished, codesOf(peer)], [7, { 0: 15, 8: 7 }]);
});

test('who does not read its answers does not keep the key server from its end', async () => {
  const server = await start(1000);
  const peer = await connectPeer(server.port, setup.edgeOptions);
  peer.socket.pause();
  for (let count = 0; count < 1000; count += 1) peer.send(request());
  await until(() => server.stats().inFlight === 1000);
  const closed = server.close();
  clock.advance(CLOSE_MS);
  await closed;
  assert.equal(server.stats().connections, 0);
});

/** A connection that the key server has ended, on which the edge may still send. */
async function endedConnection() {
  clock = new ManualClock();
  const server = await setup.start({ clock, idleTimeoutMs: 30_000 });
  const peer = await connectPeer(server.port, setup.edgeOptions, 'field');
  peer.socket.allowHalfOpen = true;
  await peer.ask(pingRequest());
  const ended = once(peer.socket, 'end');
  const { certPem: cert, keyPem: key } = setup.server;
  // Another authority: all are to come again.
  server.setCredentials({ cert, key, ca: `${setup.authority.certPem}\n` });
  await ended;
  return { server, peer };
}

test('what an edge sends when the key server has ended keeps no connection', async () => {
  const { server, peer } = await endedConnection();
  for (let count = 0; count < 3; count += 1) {
    await new Promise((resolve) => peer.socket.write(Buffer.alloc(100), resolve));
    for (let turns = 0; turns < 20; turns += 1) await new Promise(setImmediate);
  }
  peer.socket.end();
  await until(() => server.stats().connections === 0);
  await server.close();
});

test('an edge that goes on sending is not read beyond 64 KiB, and disconnected in time', async () => {
  const { server, peer } = await endedConnection();
  let isSent = false;
  // More than the system takes in between.
  peer.socket.write(Buffer.alloc(67_108_864), () => {
    isSent = true;
  });
  for (let turns = 0; turns < 2000; turns += 1) await new Promise(setImmediate);
  assert.deepEqual([isSent, server.stats().connections], [false, 1]);
  clock.advance(30_000);
  await peer.closed;
  await until(() => server.stats().connections === 0);
  await server.close();
});

/** Of one byte each, and more than come in one read of 64 KiB. */
const CRUMBS = 8000;

test('nor is one beyond 1,024 records, however small', async () => {
  const { server, peer } = await endedConnection();
  for (let count = 0; count < CRUMBS; count += 1) {
    await new Promise((resolve) => peer.socket.write(Buffer.alloc(1), resolve));
  }
  peer.socket.end();
  for (let turns = 0; turns < 2000; turns += 1) await new Promise(setImmediate);
  assert.equal(server.stats().connections, 1, 'its end is behind what is not read');
  clock.advance(30_000);
  await until(() => server.stats().connections === 0);
  await server.close();
});

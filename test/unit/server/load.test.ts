/** A key server with more to do than it can: who gets what, and who is turned away. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { connect as connectTcp } from 'node:net';
import { after, before, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { setSigningThreads } from '../../../lib/engine/signing-threads.ts';
import { connectKeyServers } from '../../../lib/keys/key-servers.ts';
import { encodeFrame } from '../../../lib/protocol/frame-encoder.ts';
import {
  capabilitiesRequest,
  pingRequest,
  signRequest,
  waitItem,
} from '../../../lib/protocol/request-encoder.ts';
import { type ServerOperation, serverOperation } from '../../../lib/server/channels.ts';
import type { KeyServer } from '../../../lib/server/key-server.ts';
import type { KeyStore } from '../../../lib/server/key-store.ts';
import { identityOf } from '../../../lib/server/peer-identity.ts';
import { keyStoreOf } from '../../../lib/server/pem-directory.ts';
import { pemKey } from '../../../lib/server/pem-key.ts';
import type { Issued } from '../../helpers/certificates.ts';
import { certificateVerify } from '../../helpers/handshake-messages.ts';
import { heldKey } from '../../helpers/held-key.ts';
import { type KeyServerSetup, makeKeyServers } from '../../helpers/key-servers.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';
import { connectPeer, type WirePeer } from '../../helpers/wire-peer.ts';

let setup: KeyServerSetup;
let other: Issued;
// As many are under way as threads sign: the orders below are those of one, on whatever machine.
before(() => setSigningThreads(1));
before(async () => {
  setup = await makeKeyServers(['rsa', 'p256']);
  other = await setup.authority.issue({ type: 'p256', usage: 'client', cn: 'edge 2' });
});

const rsaRequest = () =>
  signRequest('rsa_pss_rsae_sha256', certificateVerify(), { keyId: setup.sites.rsa!.keyId });
const ecdsaRequest = () =>
  signRequest('ecdsa_secp256r1_sha256', certificateVerify(), { keyId: setup.sites.p256!.keyId });

const peers: WirePeer[] = [];
after(() => {
  for (const peer of peers) peer.close();
});

async function connect(port: number, issued?: Issued): Promise<WirePeer> {
  const own = issued && { cert: issued.certPem, key: issued.keyPem };
  const peer = await connectPeer(port, { ...setup.edgeOptions, ...own });
  peers.push(peer);
  return peer;
}

/** Lets signatures go until all is answered. */
async function finish(answers: Promise<unknown>, release: () => void): Promise<void> {
  let answered = false;
  void answers.then(() => {
    answered = true;
  });
  while (!answered) {
    release();
    await new Promise(setImmediate);
  }
}

test('ECDSA does not wait behind RSA, and a client not behind another’s flood', async () => {
  const { keys: held, release } = heldKey(setup.sites.rsa!.keyId);
  const ecdsa = keyStoreOf([pemKey(setup.sites.p256!.keyPem, 'p256')]);
  const keys: KeyStore = { find: (selector) => ecdsa.find(selector) ?? held.find(selector) };
  const server = await setup.start({ keys });
  const [flood, second] = [await connect(server.port), await connect(server.port, other)];
  const order: string[] = [];
  const asked: Promise<unknown>[] = [];
  for (let index = 0; index < 120; index += 1)
    asked.push(flood.ask(rsaRequest()).then(() => order.push('flood')));
  // Read before the others ask: its own flood does not hold up what comes on another connection.
  await flood.ask(capabilitiesRequest());
  asked.push(second.ask(rsaRequest()).then(() => order.push('rsa')));
  assert.equal((await second.ask(ecdsaRequest())).kind, 'result');
  assert.equal(order.length, 0, 'no RSA has been signed');
  await finish(Promise.all(asked), release);
  assert.ok(order.indexOf('rsa') < 80, `the second client’s RSA was the ${order.indexOf('rsa')}th`);
  assert.equal(server.stats().waiting, 0);
  await server.close();
});

/** Asks until a request waits for its turn. @returns settles when all are answered */
async function occupy(server: KeyServer, peer: WirePeer): Promise<{ readonly answers: Promise<unknown> }> {
  const asked: Promise<unknown>[] = [];
  while (server.stats().waiting === 0) {
    asked.push(peer.ask(rsaRequest()));
    await new Promise(setImmediate);
  }
  return { answers: Promise.all(asked) };
}

test('a client has no more in hand over many connections than it may, and another one is served meanwhile', async () => {
  const { keys, begun, release } = heldKey(setup.sites.rsa!.keyId);
  const server = await setup.start({ keys, maxInFlight: 10, maxInFlightPerClient: 20 });
  const flood = await Promise.all(Array.from({ length: 8 }, () => connect(server.port)));
  const peer = await connect(server.port, other);
  const asked = flood.flatMap((each) => Array.from({ length: 10 }, () => each.ask(rsaRequest())));
  while (server.stats().inFlight < 20) await new Promise(setImmediate);
  for (let turns = 0; turns < 50; turns += 1) {
    assert.equal((await peer.ask(pingRequest())).kind, 'pong');
    assert.ok(server.stats().inFlight <= 21, `${server.stats().inFlight} in hand`);
  }
  const answers = Promise.all(asked);
  await finish(answers, release);
  for (const answer of await answers) assert.equal(answer.kind, 'result');
  assert.equal(begun(), 80);
  await server.close();
});

test('a flood over many connections holds the event loop no longer than one over one', async () => {
  const server = await setup.start();
  const flood = await Promise.all(Array.from({ length: 30 }, () => connect(server.port)));
  const asked = flood.flatMap((each) => Array.from({ length: 60 }, () => each.ask(ecdsaRequest())));
  let [answered, most] = [0, 0];
  while (server.stats().answered < asked.length) {
    await new Promise(setImmediate);
    most = Math.max(most, server.stats().answered - answered);
    answered = server.stats().answered;
  }
  assert.ok(most <= 128, `${most} requests in one turn of the loop`);
  await Promise.all(asked);
  await server.close();
});

/** Each in a TLS record of its own: what is written while another write is under way would share one. */
async function sendOctets(socket: TLSSocket, bytes: Buffer): Promise<void> {
  for (const octet of bytes) await new Promise((resolve) => socket.write(Buffer.of(octet), resolve));
}

test('a flood in records of one byte is read as slowly as it is worth, and holds up nobody else', async () => {
  const clock = new ManualClock();
  const server = await setup.start({ clock });
  const flood = await Promise.all(Array.from({ length: 5 }, () => connect(server.port)));
  const peer = await connect(server.port, other);
  const request = encodeFrame(1, ecdsaRequest());
  const copies = Math.ceil(2000 / request.length);
  const sent = copies * flood.length;
  await Promise.all(
    flood.map(({ socket }) => sendOctets(socket, Buffer.concat(Array(copies).fill(request)))),
  );
  const ofFlood = () => server.stats().answered - others;
  let others = 0;
  for (let turns = 0; turns < 300; turns += 1) {
    assert.equal((await peer.ask(pingRequest())).kind, 'pong');
    others += 1;
  }
  // What it may send at once, and what one read brings.
  assert.ok(ofFlood() * request.length <= 2000 + 65_536 / 22, `${ofFlood()} of ${sent} answered`);
  while (ofFlood() < sent) {
    clock.advance(100);
    await new Promise(setImmediate);
  }
  for (const each of [...flood, peer]) each.close();
  await server.close();
});

test('work is not begun when the time that its asker waits for it is over; the message may be signed later', async () => {
  const { keys, begun, release } = heldKey(setup.sites.rsa!.keyId);
  const clock = new ManualClock();
  const server = await setup.start({ keys, clock });
  const [flood, peer] = [await connect(server.port, other), await connect(server.port)];
  const { answers } = await occupy(server, flood);
  const [short, long] = [rsaRequest(), rsaRequest()];
  const [given, kept] = [
    peer.ask({ ...short, wait: waitItem(100) }),
    peer.ask({ ...long, wait: waitItem(5000) }),
  ];
  await peer.ask(pingRequest());
  clock.advance(101);
  await finish(Promise.all([answers, given, kept]), release);
  assert.deepEqual(await given, { kind: 'error', code: 8 });
  assert.equal((await kept).kind, 'result');
  const before = begun();
  const again = peer.ask(short);
  while (begun() === before) await new Promise(setImmediate);
  release();
  assert.equal((await again).kind, 'result');
  // No goodbye: the clock stands still.
  for (const each of [flood, peer]) each.close();
  await server.close();
});

test('an edge of ours says how long it waits, and what it has given up is not begun', async () => {
  const { keys, begun, release } = heldKey(setup.sites.rsa!.keyId);
  const clock = new ManualClock();
  const server = await setup.start({ keys, clock });
  const told: (string | undefined)[] = [];
  const listener = (message: unknown) => void told.push((message as ServerOperation).refusal);
  const flood = await connect(server.port, other);
  const { answers } = await occupy(server, flood);
  await flood.ask(pingRequest());
  const waiting = server.stats().waiting;
  subscribe(serverOperation.name, listener);
  const edge = connectKeyServers({
    servers: [`127.0.0.1:${server.port}`],
    servername: 'localhost',
    timeoutMs: 200,
    clock,
    ...setup.edgeOptions,
  });
  await edge.ready();
  const { certDer, keyId } = setup.sites.rsa!;
  const operation = {
    ...({ kind: 'sign', scheme: 'rsa_pss_rsae_sha256', message: certificateVerify(), keyId } as const),
    ...({ certificate: certDer, role: 'server', servername: 'www.example.org' } as const),
    ...{ peerAddress: undefined, localAddress: undefined, signal: new AbortController().signal },
    deadline: clock.now() + 200,
  };
  const signed = edge.sign(operation);
  while (server.stats().waiting === waiting) await new Promise(setImmediate);
  clock.advance(200);
  await assert.rejects(signed, { code: 'ERR_KEYLESS_TIMEOUT' });
  const before = begun();
  await finish(answers, release);
  while (server.stats().inFlight > 0) await new Promise(setImmediate);
  unsubscribe(serverOperation.name, listener);
  assert.equal(begun(), before + waiting);
  assert.equal(told.filter((refusal) => refusal === 'abandoned').length, 1);
  edge.close();
  flood.close();
  await server.close();
});

test('work that waits when its client may not do it any more, or the key is gone, is not begun', async () => {
  const { keys, begun, release } = heldKey(setup.sites.rsa!.keyId);
  const keyId = setup.sites.rsa!.keyId.toString('hex');
  const { pin } = identityOf(new X509Certificate(setup.edge.certPem));
  const client = { name: 'edge', identities: [pin] };
  let gone = false;
  const server = await setup.start({
    keys: { find: (selector) => (gone ? undefined : keys.find(selector)) },
  });
  const narrower: (() => void)[] = [
    () => server.setGrants({ clients: [{ ...client, keys: ['00'.repeat(20)] }] }),
    () => server.setGrants({ clients: [{ ...client, contexts: ['tls12-server'] }] }),
    () => server.setGrants({ clients: [client], keys: { [keyId]: { uses: ['decrypt'] } } }),
    () => {
      gone = true;
    },
  ];
  for (const narrow of narrower) {
    server.setGrants({ clients: [client] });
    const peer = await connect(server.port);
    const { answers } = await occupy(server, peer);
    const before = begun();
    narrow();
    await finish(answers, release);
    assert.equal(begun(), before, narrow.toString());
    const codes = ((await answers) as { kind: string; code?: number }[]).map(({ code }) => code);
    assert.deepEqual(
      [codes.filter((code) => code === undefined).length, new Set(codes).size],
      [codes.lastIndexOf(undefined) + 1, 2],
    );
    assert.equal(codes.at(-1), 2, 'as what is not there');
  }
  await server.close();
});

test('the work of a connection that is gone is dropped, and its messages may be signed for another', async () => {
  const { keys, begun, release } = heldKey(setup.sites.rsa!.keyId);
  const server = await setup.start({ keys, maxInFlight: 1000 });
  const told: (string | undefined)[] = [];
  const listener = (message: unknown) => {
    const { kind, refusal } = message as ServerOperation;
    if (kind === 'sign') told.push(refusal);
  };
  subscribe(serverOperation.name, listener);
  const raw = connectTcp(server.port, '127.0.0.1');
  const gone = await connectPeer(server.port, setup.edgeOptions, 'ours', { socket: raw, host: undefined });
  const stays = await connect(server.port, other);
  const requests = Array.from({ length: 300 }, rsaRequest);
  for (const request of requests) gone.send(request);
  await gone.ask(pingRequest(Buffer.from('after all of them')));
  const before = begun();
  assert.ok(before < 100, `${before} begun at once`);
  // One that only ends its side may still read its answers.
  raw.resetAndDestroy();
  while (server.stats().connections > 1) await new Promise(setImmediate);
  release();
  while (server.stats().waiting > 0) await new Promise(setImmediate);
  assert.equal(begun(), before);
  // The last one had not begun.
  const again = stays.ask(requests.at(-1)!);
  while (begun() === before) await new Promise(setImmediate);
  release();
  assert.equal((await again).kind, 'result');
  unsubscribe(serverOperation.name, listener);
  // What was signed is told of, whether or not somebody was left to have it.
  assert.equal(told.filter((refusal) => refusal === undefined).length, before + 1);
  assert.equal(told.filter((refusal) => refusal === 'abandoned').length, requests.length - before);
  await server.close();
});

test('an edge that asks and does not read is closed in time; what it asked for is not kept', async () => {
  const clock = new ManualClock();
  const server = await setup.start({ clock, maxInFlight: 100_000, idleTimeoutMs: 3_600_000 });
  const peer = await connect(server.port);
  peer.socket.pause();
  // Until neither side's buffers take more, and the key server has stopped reading.
  const request = pingRequest(Buffer.alloc(10_000));
  for (let [turns, answered] = [0, -1]; turns < 50; turns += 1) {
    while (peer.socket.writableLength < 1_000_000) peer.send(request);
    await new Promise(setImmediate);
    if (server.stats().answered === answered) continue;
    turns = 0;
    answered = server.stats().answered;
  }
  let closed = false;
  void peer.closed.then(() => {
    closed = true;
  });
  assert.equal(server.stats().connections, 1);
  clock.advance(9000);
  assert.equal(server.stats().connections, 1);
  clock.advance(1001);
  while (server.stats().connections > 0) await new Promise(setImmediate);
  peer.socket.resume();
  while (!closed) await new Promise(setImmediate);
  await server.close();
});

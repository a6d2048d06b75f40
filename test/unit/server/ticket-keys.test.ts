import assert from 'node:assert/strict';
import crypto, { hkdfSync, X509Certificate } from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import { after, before, test } from 'node:test';
import { decodeCapabilities } from '../../../lib/protocol/capabilities.ts';
import { capabilitiesRequest, ticketKeysRequest } from '../../../lib/protocol/request-encoder.ts';
import { decodeTicketKeys } from '../../../lib/protocol/ticket-keys.ts';
import { Grants, type GrantsOptions } from '../../../lib/server/grants.ts';
import type { KeyServer } from '../../../lib/server/key-server.ts';
import { identityOf } from '../../../lib/server/peer-identity.ts';
import { ticketGroupsOf } from '../../../lib/server/ticket-groups.ts';
import { TicketKeys } from '../../../lib/server/ticket-keys.ts';
import { type KeyServerSetup, makeKeyServers } from '../../helpers/key-servers.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';
import { connectPeer, type WirePeer } from '../../helpers/wire-peer.ts';

const SECRET = Buffer.alloc(32, 7);
const GROUP = { name: 'edges', generation: Buffer.alloc(32, 9) };

const keysAt = (now: number, group = GROUP, secret = SECRET, periodMs = 10_000) =>
  decodeTicketKeys(new TicketKeys({ secret, periodMs, now: () => now }).answer(group));

test('a key is HKDF-SHA256 of the secret over period, epoch, generation and group', () => {
  const { keys, epoch, remainingMs, periodMs } = keysAt(55_500);
  assert.deepEqual([epoch, remainingMs, periodMs], [5, 4500, 10_000]);
  [6n, 5n, 4n, 3n].forEach((number, index) => {
    const head = Buffer.alloc(12);
    head.writeUInt32BE(10_000);
    head.writeBigUInt64BE(number, 4);
    const info = Buffer.concat([head, GROUP.generation, Buffer.from('edges')]);
    const key = Buffer.from(hkdfSync('sha256', SECRET, 'keyless-tls/1 ticket-keys', info, 48));
    assert.deepEqual(keys[index], key);
  });
});

test('in the next epoch each key has moved on by one place', () => {
  const [next, current, previous] = keysAt(49_999).keys;
  assert.deepEqual(keysAt(50_000).keys.slice(1), [next, current, previous]);
});

test('who asks in another epoch gets other keys, and in the same one the same, in other groups their own', () => {
  let now = 49_999;
  const ticketKeys = new TicketKeys({ secret: SECRET, periodMs: 10_000, now: () => now });
  for (const at of [49_999, 49_999, 50_000, 60_000, 49_999]) {
    now = at;
    for (const group of [GROUP, { ...GROUP, name: 'others' }])
      assert.deepEqual(decodeTicketKeys(ticketKeys.answer(group)), keysAt(at, { ...group }));
  }
});

test('another group, generation, secret or period has none of the keys', () => {
  const known = new Set(keysAt(55_500).keys.map(String));
  const others = [
    keysAt(55_500, { ...GROUP, name: 'edge' }),
    keysAt(55_500, { ...GROUP, generation: Buffer.alloc(32) }),
    keysAt(55_500, GROUP, Buffer.alloc(32, 8)),
    keysAt(55_500, GROUP, SECRET, 10_001),
  ];
  for (const { keys } of others) for (const key of keys) assert.ok(!known.has(String(key)));
});

test('a short secret and an odd period are refused, and the id tells secrets apart', () => {
  const code = { code: 'ERR_KEYLESS_INVALID_ARGUMENT' };
  assert.throws(() => new TicketKeys({ secret: Buffer.alloc(31) }), code);
  assert.throws(() => new TicketKeys({ secret: 'x'.repeat(32) as never }), code);
  for (const periodMs of [0, 999, 1000.5, 604_800_001, Number.NaN]) {
    assert.throws(() => new TicketKeys({ secret: SECRET, periodMs }), code);
  }
  const { id } = new TicketKeys({ secret: SECRET });
  assert.match(id, /^[0-9a-f]{16}$/);
  assert.equal(new TicketKeys({ secret: SECRET, periodMs: 5000 }).id, id);
  assert.notEqual(new TicketKeys({ secret: Buffer.alloc(32) }).id, id);
});

const CLIENTS: GrantsOptions['clients'] = [
  { name: 'a', identities: ['DNS:a'], tickets: { group: 'one' } },
  { name: 'b', identities: ['DNS:b'], tickets: { group: 'two' } },
  { name: 'c', identities: ['DNS:c'] },
  { name: 'd', identities: ['DNS:d'], tickets: { group: 'one' } },
];

function generation(revoked: readonly string[], ticketGeneration?: number): string {
  const grants = new Grants({ clients: CLIENTS, revoked, ticketGeneration }, new ManualClock());
  const grant = grants.find({
    names: ['DNS:a'],
    pin: 'sha256/x',
    fingerprint: 'AA',
    otherFingerprints: [],
    signedDigest: '',
  });
  return Buffer.from(grant!.ticketGroup!.generation).toString('hex');
}

test('a revocation changes the keys of the groups that it concerns, and of all if nobody knows whose it is', () => {
  const calm = generation([]);
  assert.equal(generation(['DNS:b']), calm);
  assert.equal(generation(['DNS:c']), calm);
  assert.notEqual(generation(['DNS:d']), calm);
  assert.equal(generation(['DNS:D', 'DNS:d', 'DNS:B']), generation(['DNS:d']));
  assert.notEqual(generation(['sha256/y']), calm);
  assert.notEqual(generation(['sha256/y']), generation(['sha256/z']));
  assert.equal(
    generation(['sha256/y', 'sha256/z', 'DNS:b']),
    generation(['sha256/z', 'sha256/y', 'sha256/z']),
  );
});

test('of thousands of groups those are made one by one that a revoked name concerns', (t) => {
  const clients = Array.from({ length: 3000 }, (_, at) => ({
    ...{ name: `c${at}`, identities: [`DNS:c${at}`], tickets: { group: `g${at}` } },
  }));
  const revoked = ['DNS:c7', 'DNS:c7', 'sha256/y', 'DNS:nobody'];
  const made = t.mock.method(crypto, 'createHash');
  syncBuiltinESMExports();
  const groups = ticketGroupsOf({ clients, revoked });
  made.mock.restore();
  syncBuiltinESMExports();
  assert.equal(made.mock.callCount(), 2);
  const generationOf = (name: string) => Buffer.from(groups.get(name)!.generation).toString('hex');
  const hashOf = (...names: string[]) => {
    const lines = names.map((name) => `${name}\n`).join('');
    return crypto.createHash('sha256').update(lines).digest('hex');
  };
  assert.equal(generationOf('g7'), hashOf('DNS:c7', 'DNS:nobody', 'sha256/y'));
  assert.deepEqual([generationOf('g8'), generationOf('g0')], Array(2).fill(hashOf('DNS:nobody', 'sha256/y')));
});

test('a group may have any name, also none: what concerns it is not what concerns all', () => {
  const client = (name: string, group: string) => ({
    ...{ name, identities: [`DNS:${name}`], tickets: { group } },
  });
  const clients = [client('a', ''), client('b', 'b')];
  const generations = (revoked: readonly string[]) =>
    [...ticketGroupsOf({ clients, revoked }).values()].map(({ generation }) => generation);
  const [, unconcerned] = generations([]);
  const [own, other] = generations(['DNS:a']);
  assert.deepEqual(other, unconcerned);
  assert.notDeepEqual(own, unconcerned);
});

test('who is revoked no more gets keys that nobody has had, where the policy names another generation', () => {
  const known = [generation([]), generation(['DNS:d'])];
  assert.equal(generation([], 0), known[0]);
  assert.ok(!known.includes(generation([], 1)));
  assert.notEqual(generation([], 1), generation([], 2));
  assert.notEqual(generation(['DNS:d'], 1), generation([], 1));
});

let setup: KeyServerSetup;
let pin: string;
let keyServer: (KeyServer & { port: number }) | undefined;
let peer: WirePeer | undefined;

before(async () => {
  setup = await makeKeyServers(['p256']);
  pin = identityOf(new X509Certificate(setup.edge.certPem)).pin;
});
after(() => keyServer?.close());

async function connect(client: object | undefined, withSecret = true, alpn = true): Promise<WirePeer> {
  peer?.close();
  await keyServer?.close();
  const grants = client && { clients: [{ name: 'one', identities: [pin], ...client }] };
  keyServer = await setup.start({ grants, tickets: withSecret ? { secret: SECRET } : undefined });
  peer = await connectPeer(keyServer.port, setup.edgeOptions, alpn ? 'ours' : 'field');
  return peer;
}

const TICKETS = { tickets: { group: 'edges' } };

test('a client whose grant names a group gets its keys, and is told so by the capabilities', async () => {
  const edge = await connect(TICKETS);
  const answer = await edge.ask(ticketKeysRequest());
  assert.ok(answer.kind === 'result');
  assert.equal(decodeTicketKeys(answer.payload).periodMs, 3_600_000);
  const { payload } = (await edge.ask(capabilitiesRequest())) as { payload: Uint8Array };
  assert.ok(decodeCapabilities(payload).functions.includes('ticket-keys'));
});

test('to everybody else the function is not there: no grant, no policy, no secret, an edge of the field', async () => {
  const unknown = { ...ticketKeysRequest(), functionName: Buffer.from('no-such-function') };
  const cases: Parameters<typeof connect>[] = [[{}], [undefined], [TICKETS, false], [TICKETS, true, false]];
  for (const each of cases) {
    const edge = await connect(...each);
    assert.deepEqual(await edge.ask(ticketKeysRequest()), await edge.ask(unknown));
    if (each[2] === false) continue;
    const { payload } = (await edge.ask(capabilitiesRequest())) as { payload: Uint8Array };
    assert.ok(!decodeCapabilities(payload).functions.includes('ticket-keys'));
  }
});

test('ticket keys count against the rate of a client', async () => {
  const edge = await connect({ ...TICKETS, rate: { perSecond: 0.001, burst: 1 } });
  assert.equal((await edge.ask(ticketKeysRequest())).kind, 'result');
  assert.deepEqual(await edge.ask(ticketKeysRequest()), { kind: 'error', code: 8 });
});

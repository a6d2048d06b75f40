import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Asked, type ClientOptions, Grants } from '../../../lib/server/grants.ts';
import type { PeerIdentity } from '../../../lib/server/peer-identity.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';

const KEY = 'aa'.repeat(20);
const OTHER_KEY = 'bb'.repeat(20);

const EDGE: PeerIdentity = {
  names: ['DNS:edge-1.internal', 'URI:spiffe://example.org/edge'],
  pin: 'sha256/abc=',
  fingerprint: 'AA:BB',
  otherFingerprints: ['CC:DD'],
  signedDigest: '',
};

function asked(more: Partial<Asked> = {}): Asked {
  return { kind: 'sign', keyId: KEY, servername: 'www.example.org', context: 'tls13-server', ...more };
}

function grantOf(options: Partial<ClientOptions> = {}, clock = new ManualClock()) {
  const client = { name: 'edge', identities: ['DNS:edge-1.internal'], ...options };
  return new Grants({ clients: [client] }, clock).find(EDGE);
}

test('without a policy everybody may everything', () => {
  const grant = new Grants(undefined, new ManualClock()).find(EDGE);
  assert.equal(grant?.deny(asked()), undefined);
});

test('a client is found by each of its names, whatever their case, and by its key, exactly', () => {
  const spelt = ['DNS:EDGE-1.Internal', 'URI:SPIFFE://Example.org/edge'];
  for (const identity of [...EDGE.names, EDGE.pin, ...spelt]) {
    assert.ok(grantOf({ identities: [identity] }), identity);
  }
  for (const identity of [
    'DNS:edge-2.internal',
    'edge-1.internal',
    'URI:spiffe://example.org/',
    'URI:spiffe://example.org/Edge',
    'sha256/ABC=',
  ]) {
    assert.equal(grantOf({ identities: [identity] }), undefined, identity);
  }
});

test('a policy that names nobody serves nobody', () => {
  assert.equal(new Grants({ clients: [] }, new ManualClock()).find(EDGE), undefined);
});

test('whoever is revoked is not found, with or without a policy', () => {
  const clock = new ManualClock();
  const spelt = ['DNS:Edge-1.INTERNAL.', 'URI:Spiffe://EXAMPLE.org/edge'];
  for (const revoked of [EDGE.fingerprint, ...EDGE.otherFingerprints, EDGE.pin, ...EDGE.names, ...spelt]) {
    const clients = [{ name: 'edge', identities: [EDGE.names[0]!] }];
    assert.equal(new Grants({ clients, revoked: [revoked] }, clock).find(EDGE), undefined, revoked);
    const shouting = { ...EDGE, names: ['DNS:EDGE-1.INTERNAL', 'URI:SPIFFE://EXAMPLE.ORG/edge'] };
    assert.equal(new Grants({ clients, revoked: [revoked] }, clock).find(shouting), undefined, revoked);
  }
});

test('keys, names, contexts and decryption are granted one by one', () => {
  const grant = grantOf({
    keys: [KEY.toUpperCase()],
    servernames: ['*.example.org'],
    contexts: ['tls13-server'],
  })!;
  assert.equal(grant.deny(asked()), undefined);
  assert.equal(grant.deny(asked({ keyId: OTHER_KEY })), 'key-not-granted');
  assert.equal(grant.deny(asked({ context: 'tls12-server' })), 'context-not-allowed');
  assert.equal(grant.deny(asked({ context: undefined })), 'context-not-allowed');
  assert.equal(grant.deny(asked({ kind: 'decrypt', context: undefined })), undefined);
  const noDecryption = grantOf({ decrypt: false })!;
  assert.equal(noDecryption.deny(asked({ kind: 'decrypt', context: undefined })), 'context-not-allowed');
});

test('a pattern stands for one label', () => {
  const grant = grantOf({ servernames: ['*.example.org', 'example.net'] })!;
  const longest = `${'a'.repeat(63)}.example.org`;
  for (const servername of [
    'www.example.org',
    'WWW.Example.ORG',
    'xn--bcher-kva.example.org',
    '_a.example.org',
    longest,
    'example.net',
  ]) {
    assert.equal(grant.deny(asked({ servername })), undefined, servername);
  }
  for (const servername of [
    'example.org',
    'a.b.example.org',
    '.example.org',
    'xexample.net',
    'evil.net',
    '*.example.org',
    'x\n.example.org',
    ' x.example.org',
    'x\0.example.org',
    'b\u00fccher.example.org',
    `${'a'.repeat(64)}.example.org`,
    'example.net\n',
    'www.example.org.',
    undefined,
  ]) {
    assert.equal(grant.deny(asked({ servername })), 'name-not-granted', String(servername));
  }
});

test('a rate allows a burst and then what the time brings', () => {
  const clock = new ManualClock();
  const grant = grantOf({ rate: { perSecond: 10, burst: 3 } }, clock)!;
  const take = () => grant.count(KEY);
  assert.deepEqual([take(), take(), take(), take()], [undefined, undefined, undefined, 'rate']);
  clock.advance(99);
  assert.equal(take(), 'rate');
  clock.advance(1);
  assert.equal(take(), undefined);
  clock.advance(60_000);
  assert.deepEqual([take(), take(), take(), take()], [undefined, undefined, undefined, 'rate']);
});

test('each key has its own rate where there is one for each', () => {
  const grant = grantOf({ ratePerKey: { perSecond: 1 } })!;
  assert.equal(grant.count(KEY), undefined);
  assert.equal(grant.count(KEY), 'rate');
  assert.equal(grant.count(OTHER_KEY), undefined);
});

test('what the rate of a key refuses takes nothing from that of all, nor the other way round', () => {
  const clock = new ManualClock();
  const rates = { rate: { perSecond: 1, burst: 5 }, ratePerKey: { perSecond: 0.001, burst: 3 } };
  const grant = grantOf(rates, clock)!;
  const count = (keyId: string, times: number) =>
    Array.from({ length: times }, () => grant.count(keyId)).filter((refusal) => refusal === undefined).length;
  assert.deepEqual([count(KEY, 30), count(OTHER_KEY, 30)], [3, 2]);
  clock.advance(2000);
  assert.equal(count(OTHER_KEY, 30), 1, 'the third one with that key');
});

test('a new policy gives a client no new rate: what it has taken is not there again', () => {
  const clock = new ManualClock();
  const rates = { rate: { perSecond: 1, burst: 4 }, ratePerKey: { perSecond: 1, burst: 2 } };
  const client = { name: 'edge', identities: EDGE.names, ...rates };
  let grants = new Grants({ clients: [client] }, clock);
  const count = (keyId = KEY) => grants.find(EDGE)!.count(keyId);
  const change = (more: Partial<ClientOptions> = {}) => {
    const before = grants;
    grants = new Grants({ clients: [{ ...client, ...more }] }, clock);
    grants.continueFrom(before);
  };
  const other = [OTHER_KEY, OTHER_KEY].map(count);
  assert.deepEqual(
    [count(), count(), count(), ...other],
    [undefined, undefined, 'rate', undefined, undefined],
  );
  change();
  assert.deepEqual([count(), count(OTHER_KEY)], ['rate', 'rate']);
  clock.advance(2000);
  change({ name: 'other', identities: ['DNS:EDGE-1.internal'], keys: [KEY, OTHER_KEY] });
  assert.deepEqual([count(), count(OTHER_KEY), count(OTHER_KEY)], [undefined, undefined, 'rate']);
  change({ rate: { perSecond: 1, burst: 1000 }, ratePerKey: undefined });
  assert.equal(count(), 'rate', 'a larger burst is not there at once');
  clock.advance(10_000);
  assert.deepEqual(
    Array.from({ length: 11 }, () => count()),
    [...Array<undefined>(10), 'rate'],
  );
  clock.advance(1000_000);
  change({ rate: { perSecond: 1, burst: 2 } });
  assert.deepEqual([count(), count(), count()], [undefined, undefined, 'rate']);
});

test('nor a new rate with a key, where it has a rate with each and none of all', () => {
  const clock = new ManualClock();
  const client = { name: 'edge', identities: EDGE.names, ratePerKey: { perSecond: 1, burst: 2 } };
  const before = new Grants({ clients: [client] }, clock);
  const count = (grants: Grants, keyId = KEY) => grants.find(EDGE)!.count(keyId);
  assert.deepEqual([count(before), count(before), count(before)], [undefined, undefined, 'rate']);
  const next = new Grants({ clients: [client] }, clock);
  next.continueFrom(before);
  assert.deepEqual([count(next), count(next, OTHER_KEY)], ['rate', undefined]);
});

test('a policy with 4,000 clients and 1,000 revocations is in force at once', () => {
  const clients = Array.from({ length: 4000 }, (_, at) => ({
    ...{ name: `edge-${at}`, identities: [`DNS:edge-${at}.internal`] },
    tickets: { group: `group-${at % 20}` },
  }));
  const revoked = clients.slice(0, 1000).map(({ name }) => `DNS:${name}.internal`);
  const begun = process.cpuUsage();
  const grants = new Grants({ clients, revoked }, new ManualClock());
  const { user, system } = process.cpuUsage(begun);
  const ms = (user + system) / 1000;
  const named = (name: string) => grants.find({ ...EDGE, names: [`DNS:${name}.internal`] })?.name;
  assert.deepEqual([named('edge-999'), named('edge-1000')], [undefined, 'edge-1000']);
  // A revocation has a second; for each revocation with each client it would take minutes.
  assert.ok(ms < 1000, `${ms.toFixed(0)} ms of CPU time`);
});

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { SIGNING_METHODS } from '../../../lib/protocol/schemes.ts';
import { RecentSignatures } from '../../../lib/server/recent-signatures.ts';
import { RequestName } from '../../../lib/server/request-name.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';

const [KEY, OTHER_KEY] = [randomBytes(20), randomBytes(20)];

interface Change {
  readonly method?: keyof typeof SIGNING_METHODS;
  readonly servername?: string | undefined;
  readonly key?: Buffer;
  readonly digest?: Buffer;
  readonly blind?: boolean;
}

function nameOf(
  text: string,
  { method = 'ecdsa_sha256', servername, key = KEY, digest, blind }: Change = {},
) {
  const sha256 = digest ?? createHash('sha256').update(text).digest();
  const request = {
    ...({ kind: 'sign', method: SIGNING_METHODS[method], digest: sha256, context: undefined } as const),
    ...{
      message: blind ? undefined : Buffer.from(text),
      selector: { keyId: key, certificateDigest: undefined },
    },
    servername: servername === undefined ? undefined : Buffer.from(servername),
  };
  return new RequestName(request, key, sha256);
}

function make(pages?: number) {
  const clock = new ManualClock();
  return { clock, recent: new RecentSignatures({ clock, pages }) };
}

const signatureOf = (text: string, bytes = 71) =>
  Buffer.alloc(bytes, createHash('sha256').update(text).digest());

test('a signature is found by the same request of the same client, and by nothing else', () => {
  const { recent } = make();
  const servername = 'www.example.org';
  recent.keep(nameOf('a', { servername }), 'edge', signatureOf('a'));
  assert.deepEqual(recent.find(nameOf('a', { servername }), 'edge'), signatureOf('a'));
  assert.equal(recent.find(nameOf('a', { servername }), 'edge 2'), undefined);
  const changes: Change[] = [
    { servername: undefined },
    { servername: '' },
    { servername: 'www.example.net' },
    { servername, method: 'rsa_pkcs1_sha256' },
    { servername, key: OTHER_KEY },
    { servername, blind: true },
  ];
  for (const change of changes)
    assert.equal(recent.find(nameOf('a', change), 'edge'), undefined, JSON.stringify(change));
  recent.keep(nameOf('b'), 'edge', signatureOf('b'));
  assert.equal(recent.find(nameOf('b', { servername: '' }), 'edge'), undefined, 'an empty name is not none');
});

test('two digests that begin alike are two requests', () => {
  const { recent } = make();
  const digest = randomBytes(32);
  recent.keep(nameOf('a', { digest }), 'edge', signatureOf('a'));
  const like = Buffer.concat([digest.subarray(0, 16), randomBytes(16)]);
  assert.equal(recent.find(nameOf('b', { digest: like }), 'edge'), undefined);
  recent.keep(nameOf('b', { digest: like }), 'edge', signatureOf('b'));
  assert.deepEqual(recent.find(nameOf('a', { digest }), 'edge'), signatureOf('a'));
  assert.deepEqual(recent.find(nameOf('b', { digest: like }), 'edge'), signatureOf('b'));
});

test('it is found for 15 seconds', () => {
  const { recent, clock } = make();
  recent.keep(nameOf('a'), 'edge', signatureOf('a'));
  clock.advance(15_000);
  recent.keep(nameOf('b'), 'edge', signatureOf('b'));
  assert.deepEqual(recent.find(nameOf('a'), 'edge'), signatureOf('a'));
  clock.advance(1);
  assert.equal(recent.find(nameOf('a'), 'edge'), undefined);
  assert.deepEqual(recent.find(nameOf('b'), 'edge'), signatureOf('b'));
});

test('of a flood its own are forgotten, the oldest first, and nobody else’s', () => {
  const { recent } = make(16);
  const texts = (client: string, count: number) =>
    Array.from({ length: count }, (_, at) => `${client} ${at}`);
  const quiet = ['b', 'c', 'd'];
  for (const client of quiet)
    for (const text of texts(client, 40)) recent.keep(nameOf(text), client, signatureOf(text));
  for (const text of texts('flood', 10_000)) recent.keep(nameOf(text), 'flood', signatureOf(text));
  for (const client of quiet)
    for (const text of texts(client, 40))
      assert.deepEqual(recent.find(nameOf(text), client), signatureOf(text));
  const kept = texts('flood', 10_000).map((text) => recent.find(nameOf(text), 'flood') !== undefined);
  const first = kept.indexOf(true);
  assert.ok(first > 9500 && first < 9750, `the first of those kept is the ${first}th`);
  assert.ok(kept.slice(first).every((each) => each));
});

test('more clients than there are pages: each that comes has one', () => {
  const { recent } = make(4);
  for (let at = 0; at < 50; at += 1) {
    recent.keep(nameOf(`${at}`), `edge ${at}`, signatureOf(`${at}`));
    assert.deepEqual(recent.find(nameOf(`${at}`), `edge ${at}`), signatureOf(`${at}`));
  }
});

test('what is too old to be found makes room first', () => {
  const { recent, clock } = make(4);
  const [old, young] = ['old', 'new'].map((client) =>
    Array.from({ length: 90 }, (_, at) => `${client} ${at}`),
  );
  for (const text of old!) recent.keep(nameOf(text), 'old', signatureOf(text));
  clock.advance(15_001);
  for (const text of young!) recent.keep(nameOf(text), 'new', signatureOf(text));
  for (const text of young!) assert.deepEqual(recent.find(nameOf(text), 'new'), signatureOf(text));
});

test('signatures of any size are what they were, whatever is written over those before; one larger than a page is not kept', () => {
  const { recent } = make(3);
  const sizes = [1, 64, 71, 114, 139, 256, 512, 2048, 3900, 5000];
  for (let at = 0; at < 2000; at += 1) {
    const [text, bytes] = [`${at}`, sizes[(at * 7) % sizes.length]!];
    const servername = at % 3 === 0 ? undefined : `${at}.example.org`;
    recent.keep(nameOf(text, { servername }), 'edge', signatureOf(text, bytes));
    const found = recent.find(nameOf(text, { servername }), 'edge');
    assert.deepEqual(found, bytes === 5000 ? undefined : signatureOf(text, bytes));
  }
});

test('whenever it is looked for, what came since is found, too', () => {
  const { recent } = make(40);
  for (let at = 0; at < 3000; at += 1) {
    recent.keep(nameOf(`${at}`), 'edge', signatureOf(`${at}`));
    if (at % 97 !== 0) continue;
    for (const text of [`${at}`, `${Math.max(0, at - (at % 500))}`, `${Math.max(0, at - 96)}`])
      assert.deepEqual(recent.find(nameOf(text), 'edge'), signatureOf(text), `${text} at ${at}`);
  }
});

test('what was found stays, when its place is another’s', () => {
  const { recent } = make(1);
  recent.keep(nameOf('a'), 'edge', signatureOf('a'));
  const found = recent.find(nameOf('a'), 'edge');
  for (let at = 0; at < 100; at += 1) recent.keep(nameOf(`${at}`), 'edge', signatureOf(`${at}`));
  assert.deepEqual(found, signatureOf('a'));
  assert.equal(recent.find(nameOf('a'), 'edge'), undefined);
});

test('there is a place for each, also of records as short as none are', () => {
  const { recent } = make(1);
  const [key, digest] = [Buffer.alloc(0), Buffer.alloc(20)];
  for (let at = 0; at < 1000; at += 1) {
    digest.writeUInt32LE(at);
    recent.keep(nameOf('', { key, digest }), 'edge', Buffer.of(at));
    assert.deepEqual(recent.find(nameOf('', { key, digest }), 'edge'), Buffer.of(at));
  }
});

/** @returns milliseconds that it takes to find the first of so many: the least of some, as others take the core in between */
function timeToFind(digestAt: (at: number) => Buffer): number {
  const { recent } = make();
  for (let at = 0; at < 20_000; at += 1)
    recent.keep(nameOf('', { digest: digestAt(at) }), 'edge', Buffer.of(1));
  const first = nameOf('', { digest: digestAt(0) });
  const times = Array.from({ length: 10 }, () => {
    const since = performance.now();
    recent.find(first, 'edge');
    return performance.now() - since;
  });
  return Math.min(...times);
}

test('digests that a peer has chosen cost what others do', () => {
  const others = Math.max(
    timeToFind(() => randomBytes(32)),
    timeToFind(() => randomBytes(32)),
  );
  for (let word = 0; word < 32; word += 4) {
    const only = timeToFind((at) => {
      const digest = Buffer.alloc(32, 0x11);
      digest.writeUInt32BE(at, word);
      return digest;
    });
    assert.ok(only < 20 * others, `bytes ${word} to ${word + 3} alone: ${only} ms, others ${others} ms`);
  }
});

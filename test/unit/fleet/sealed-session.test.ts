import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import {
  MAX_SEALED_BYTES,
  openSession,
  sealSession,
  sessionName,
} from '../../../lib/fleet/sealed-session.ts';
import { MemorySessions } from '../../../lib/fleet/session-backends.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';
import { ticketKey } from '../../helpers/ticket-source.ts';

const SESSION = randomBytes(500);
const NAME = sessionName(randomBytes(32));
const key = (epoch: number) => ({ epoch, key: ticketKey(epoch) });
const RING = [key(10), key(11), key(9)];

test('what is sealed opens with the key of its epoch, and is another text each time', () => {
  for (const each of RING) {
    const sealed = sealSession(NAME, SESSION, each);
    assert.deepEqual(openSession(NAME, sealed, RING), SESSION);
    assert.notDeepEqual(sealed, sealSession(NAME, SESSION, each));
    assert.ok(!sealed.includes(SESSION.subarray(0, 8)));
  }
});

test('it does not open under another name, without its key, or with another key of the epoch', () => {
  const sealed = sealSession(NAME, SESSION, key(9));
  assert.equal(openSession(sessionName(randomBytes(32)), sealed, RING), undefined);
  assert.equal(openSession(NAME, sealed, [key(10), key(11)]), undefined);
  assert.equal(openSession(NAME, sealed, [{ epoch: 9, key: ticketKey(8) }]), undefined);
});

test('a bit that is changed anywhere, a byte more or less, and it does not open', () => {
  const sealed = sealSession(NAME, SESSION, key(10));
  for (let at = 0; at < sealed.length; at += 1) {
    const changed = Buffer.from(sealed);
    changed[at]! ^= 1 << (at % 8);
    assert.equal(openSession(NAME, changed, RING), undefined, `byte ${at}`);
  }
  const others = [
    Buffer.alloc(0),
    sealed.subarray(1),
    sealed.subarray(0, -1),
    Buffer.concat([sealed, sealed]),
  ];
  for (const other of [...others, Buffer.alloc(100_000, 1)])
    assert.equal(openSession(NAME, other, RING), undefined);
});

test('no epoch of an entry or of a key is an error: where they are not the same, it does not open', () => {
  const sealed = sealSession(NAME, SESSION, key(10));
  const epochs = [-2, -1, 0, 2 ** 53, 2 ** 80].map((epoch) => ({ epoch, key: ticketKey(10) }));
  assert.equal(openSession(NAME, sealed, epochs), undefined);
  for (const byte of [0, 1, 0xff])
    assert.equal(openSession(NAME, Buffer.from(sealed).fill(byte, 1, 9), [...epochs, ...RING]), undefined);
});

test('what is longer than a session of Node can be is not deciphered, even if it was sealed with the key', () => {
  const overhead = sealSession(NAME, Buffer.alloc(0), key(10)).length;
  const longest = randomBytes(MAX_SEALED_BYTES - overhead);
  assert.deepEqual(openSession(NAME, sealSession(NAME, longest, key(10)), RING), longest);
  const longer = Buffer.concat([longest, Buffer.alloc(1)]);
  assert.equal(openSession(NAME, sealSession(NAME, longer, key(10)), RING), undefined);
});

test('the name of a session tells nothing of its id', () => {
  const id = randomBytes(32);
  assert.match(sessionName(id), /^[0-9a-f]{64}$/);
  assert.ok(!sessionName(id).includes(id.toString('hex', 0, 4)));
});

test('memory holds so many sessions and no more, those used last, as long as they live', async () => {
  const clock = new ManualClock();
  const memory = new MemorySessions(3, clock);
  for (const name of ['a', 'b', 'c']) await memory.set(name, Buffer.from(name), 1000);
  await memory.get('a');
  await memory.set('b', Buffer.from('B'), 1000);
  await memory.set('d', Buffer.from('d'), 2000);
  assert.equal(memory.size, 3);
  assert.equal(await memory.get('c'), undefined);
  assert.deepEqual(await memory.get('b'), Buffer.from('B'));
  clock.advance(1000);
  assert.equal(await memory.get('a'), undefined);
  assert.deepEqual(await memory.get('d'), Buffer.from('d'));
  assert.equal(memory.size, 2);
});

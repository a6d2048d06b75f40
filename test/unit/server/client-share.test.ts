import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ClientShare, type Reader } from '../../../lib/server/client-share.ts';
import { Rounds } from '../../../lib/server/rounds.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';

const turn = () => new Promise(setImmediate);
const MEBIBYTE = 1_048_576;

/** A connection with so many requests of 1,000 bytes that have come, each of which takes time. */
class FakeReader implements Reader {
  readonly share: ClientShare;
  reading = false;
  left: number;
  taken = 0;

  constructor(share: ClientShare, left: number) {
    this.share = share;
    this.left = left;
    share.addBytes(1000 * left);
  }

  work(): void {
    for (; this.left > 0 && this.share.mayTake(this); this.left -= 1) {
      this.share.take(1000);
      this.share.begin(1000);
      this.share.addBytes(-1000);
      this.taken += 1;
    }
    if (this.left > 0) this.share.wait(this);
    else this.share.askToRead(this);
  }

  hold(): void {
    this.reading = false;
  }

  readOn(): void {
    this.reading = true;
  }
}

function makeShare(maxInFlight: number) {
  const clock = new ManualClock();
  const rounds = new Rounds();
  return { clock, rounds, share: new ClientShare(rounds, clock, maxInFlight, () => undefined) };
}

const readingOf = (readers: readonly FakeReader[]) => readers.filter(({ reading }) => reading).length;
const takenOf = (readers: readonly FakeReader[]) => readers.reduce((sum, { taken }) => sum + taken, 0);

test('a client has so many requests in hand, over however many connections, and none is read at the bound', async () => {
  const { share } = makeShare(100);
  const readers = Array.from({ length: 40 }, () => new FakeReader(share, 10));
  const idle = new FakeReader(share, 0);
  for (const reader of [idle, ...readers]) reader.work();
  for (let rounds = 0; rounds < 50; rounds += 1) await turn();
  assert.equal(share.inFlight, 100);
  share.addBytes(1);
  assert.equal(readingOf([idle, ...readers]), 0);
  share.addBytes(-1);
  for (let done = 0; done < 400; done += 1) {
    share.end(1000);
    await turn();
    assert.ok(share.inFlight <= 100);
  }
  assert.equal(takenOf(readers), 400);
  while (readingOf([idle, ...readers]) < 41) await turn();
});

test('its connections come in turn, and of all of them no more is taken in a round than of one', async () => {
  const { share } = makeShare(10_000);
  const readers = Array.from({ length: 10 }, () => new FakeReader(share, 200));
  for (const reader of readers) reader.work();
  let before = takenOf(readers);
  assert.equal(before, 64);
  for (let rounds = 0; rounds < 10; rounds += 1) {
    await turn();
    assert.equal(takenOf(readers) - before, 64);
    before = takenOf(readers);
  }
  assert.deepEqual(
    readers.map(({ taken }) => taken),
    [128, ...Array(9).fill(64)],
  );
});

test('a connection whose answers have just left does not come before those that wait', async () => {
  const { share, rounds } = makeShare(10_000);
  const [first, second] = [new FakeReader(share, 200), new FakeReader(share, 10)] as const;
  first.work();
  rounds.addFlush({ flush: () => second.work() });
  await turn();
  assert.deepEqual([first.taken, second.taken], [128, 0]);
  await turn();
  assert.deepEqual([first.taken, second.taken], [182, 10]);
});

test('clients that have more to be done than that share a round', async () => {
  const { rounds, clock } = makeShare(1);
  const readers = Array.from({ length: 4 }, () => {
    const share = new ClientShare(rounds, clock, 10_000, () => undefined);
    return new FakeReader(share, 200);
  });
  for (const reader of readers) reader.work();
  await turn();
  assert.deepEqual(
    readers.map(({ taken }) => taken),
    Array(4).fill(64 + 16),
  );
});

test('requests are counted by their bytes, too', async () => {
  const { share } = makeShare(10_000);
  const readers = Array.from({ length: 40 }, () => new FakeReader(share, 0));
  for (const reader of readers) reader.work();
  assert.equal(readingOf(readers), 40);
  share.begin(5 * MEBIBYTE);
  share.addBytes(1);
  assert.equal(readingOf(readers), 0);
  share.end(5 * MEBIBYTE);
  await turn();
  assert.equal(readingOf(readers), 8, 'each may bring some: not all at once');
  while (readingOf(readers) < 40) await turn();
});

test('answers that are not read hold up all of the client’s connections, until they are', async () => {
  const { share } = makeShare(10_000);
  const readers = Array.from({ length: 3 }, () => new FakeReader(share, 0));
  for (const reader of readers) reader.work();
  share.addUnreadBytes(5 * MEBIBYTE);
  assert.equal(share.mayTake(readers[0]!), false);
  for (const reader of readers) reader.work();
  assert.equal(readingOf(readers), 0);
  share.addUnreadBytes(-5 * MEBIBYTE);
  await turn();
  assert.equal(readingOf(readers), 3);
});

test('parts of requests fill it, too; then a few connections at a time may bring the rest of theirs', async () => {
  const { share } = makeShare(10_000);
  const readers = Array.from({ length: 100 }, () => new FakeReader(share, 0));
  for (const reader of readers) reader.work();
  for (const reader of readers) {
    share.addBytes(60_000);
    reader.work();
  }
  await turn();
  const first = readers.filter(({ reading }) => reading);
  assert.equal(first.length, 8);
  // They become whole.
  for (const reader of first) {
    share.addBytes(-60_000);
    share.askToRead(reader);
  }
  for (let rounds = 0; rounds < 5; rounds += 1) await turn();
  assert.equal(readingOf(readers), 8);
  share.addBytes(-92 * 60_000);
  while (readingOf(readers) < 100) await turn();
});

test('who is refused again and again is heard 1,000 times a second', async () => {
  const { share, clock } = makeShare(10_000);
  const reader = new FakeReader(share, 0);
  let refused = 0;
  const ask = async () => {
    for (let rounds = 0; rounds < 1000 && share.mayTake(reader); rounds += 1) {
      for (; share.mayTake(reader); refused += 1) {
        share.take(1000);
        share.refuse();
      }
      await turn();
    }
  };
  await ask();
  assert.ok(refused > 2000 && refused <= 2064, `${refused} at once`);
  reader.work();
  assert.equal(reader.reading, false);
  refused = 0;
  for (let ms = 0; ms < 1000; ms += 20) {
    clock.advance(20);
    await turn();
    assert.equal(reader.reading, true);
    await ask();
    reader.work();
  }
  assert.ok(refused > 900 && refused <= 4300, `${refused} in a second`);
});

test('who sends crumbs is read no further when it has sent too many, and again when they have been paid for', async () => {
  const { share, clock } = makeShare(10_000);
  const readers = [new FakeReader(share, 0), new FakeReader(share, 0)];
  for (const reader of readers) reader.work();
  for (let count = 0; count < 1900; count += 1) share.receive(1);
  assert.equal(readingOf(readers), 2);
  // One read of 64 KiB may bring them all: what is too much is owed.
  for (let count = 0; count < 3100; count += 1) share.receive(1);
  assert.equal(readingOf(readers), 0);
  assert.equal(share.mayTake(readers[0]!), false);
  for (const reader of readers) reader.work();
  clock.advance(2900);
  await turn();
  assert.equal(readingOf(readers), 0);
  clock.advance(100);
  await turn();
  assert.equal(readingOf(readers), 2);
});

test('records with something in them are paid for by that', async () => {
  const { share } = makeShare(10_000);
  const reader = new FakeReader(share, 0);
  reader.work();
  for (let count = 0; count < 100_000; count += 1) share.receive(64);
  for (let count = 0; count < 3900; count += 1) share.receive(32);
  assert.equal(reader.reading, true);
  for (let count = 0; count < 200; count += 1) share.receive(32);
  assert.equal(reader.reading, false);
});

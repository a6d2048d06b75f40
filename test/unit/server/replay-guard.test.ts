import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { type ServerReplayWindow, serverReplayWindow } from '../../../lib/server/channels.ts';
import { ReplayGuard } from '../../../lib/server/replay-guard.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';

const MINUTE = 60_000;

function digest(text: string | number): Buffer {
  return createHash('sha256').update(String(text)).digest();
}

function makeGuard(capacity = 1000) {
  const clock = new ManualClock();
  const all = new ReplayGuard({ capacity, windowMs: 10 * MINUTE, clock });
  const guard = { take: (bytes: Uint8Array, client = 'edge') => all.take([bytes], client) };
  return { clock, guard, all };
}

test('a message is taken once, another is taken too', () => {
  const { guard } = makeGuard();
  assert.ok(guard.take(digest('a')));
  assert.equal(guard.take(digest('a')), undefined);
  assert.ok(guard.take(digest('b')));
  assert.equal(guard.take(digest('b')), undefined);
});

test('it is remembered for one window and forgotten after two', () => {
  const { guard, clock } = makeGuard();
  clock.advance(9 * MINUTE);
  guard.take(digest('late in the first window'));
  clock.advance(10 * MINUTE);
  assert.equal(guard.take(digest('late in the first window')), undefined);
  clock.advance(10 * MINUTE);
  guard.take(digest('something else'));
  clock.advance(10 * MINUTE);
  assert.ok(guard.take(digest('late in the first window')));
});

test('after a long silence nothing is remembered', () => {
  const { guard, clock } = makeGuard();
  guard.take(digest('a'));
  clock.advance(60 * MINUTE);
  assert.ok(guard.take(digest('a')));
});

test('a message whose signature failed may be taken again', () => {
  const { guard } = makeGuard();
  guard.take(digest('a'))!.release();
  assert.ok(guard.take(digest('a')));
});

test('a message is the same as another that has one of its digests, and is given free with all of them', () => {
  const { all } = makeGuard();
  const [a, b, c, d] = ['a', 'b', 'c', 'd'].map(digest) as [Buffer, Buffer, Buffer, Buffer];
  const ticket = all.take([a, b], 'edge')!;
  for (const each of [[a], [b], [c, b], [a, d]]) assert.equal(all.take(each, 'other'), undefined);
  assert.ok(all.take([c, d], 'other'), 'what was refused left nothing behind');
  ticket.release();
  assert.ok(all.take([a], 'other'));
  assert.ok(all.take([b], 'other'));
});

test('giving messages free leaves all others where they are found', () => {
  const { guard } = makeGuard(4000);
  const tickets = Array.from({ length: 4000 }, (_, at) => guard.take(digest(at)));
  for (let at = 0; at < 4000; at += 3) tickets[at]!.release();
  for (let at = 0; at < 4000; at += 1) {
    if (at % 3 !== 0) assert.equal(guard.take(digest(at)), undefined, `${at} was forgotten`);
  }
  for (let at = 0; at < 4000; at += 3) assert.ok(guard.take(digest(at)), `${at} is still there`);
});

test('a full memory forgets early, says so, and still remembers the last messages', () => {
  const { guard, all, clock } = makeGuard(16);
  const told: ServerReplayWindow[] = [];
  const listener = (message: unknown) => void told.push(message as ServerReplayWindow);
  serverReplayWindow.subscribe(listener);
  assert.equal(all.windowMs, 10 * MINUTE);
  for (let at = 0; at < 1000; at += 1) {
    assert.ok(guard.take(digest(at)));
    assert.equal(guard.take(digest(at)), undefined);
    if (at >= 15) assert.equal(guard.take(digest(at - 15)), undefined, `${at - 15} was forgotten too early`);
    clock.advance(1000);
  }
  serverReplayWindow.unsubscribe(listener);
  assert.equal(all.windowMs, 16_000);
  assert.equal(told.length, Math.floor((1000 - 16) / 60) + 1, 'once a minute');
  assert.deepEqual(told.at(-1), { fingerprint: 'edge', windowMs: 16_000 });
  clock.advance(10 * MINUTE);
  assert.equal(all.windowMs, 10 * MINUTE);
});

test('a flood pushes out what was signed for the flood, and nothing of others', () => {
  const { guard, clock } = makeGuard(4096);
  const others = Array.from({ length: 20 }, (_, at) => `other ${at}`);
  for (const other of others) {
    for (let at = 0; at < 100; at += 1) assert.ok(guard.take(digest(`${other}: ${at}`), other));
  }
  for (let second = 0; second < 500; second += 1) {
    for (let at = 0; at < 100; at += 1) assert.ok(guard.take(digest(`flood ${second} ${at}`), 'flood'));
    clock.advance(1000);
  }
  for (const other of others) {
    for (let at = 0; at < 100; at += 1)
      assert.equal(
        guard.take(digest(`${other}: ${at}`), 'flood'),
        undefined,
        `${other}: ${at} was forgotten`,
      );
  }
  assert.ok(guard.take(digest('flood 0 0'), 'flood'), 'its own was');
});

test('what is old is forgotten bit by bit, and makes room', () => {
  const { guard, all, clock } = makeGuard(20_000);
  for (let at = 0; at < 20_000; at += 1) assert.ok(guard.take(digest(at)));
  clock.advance(10 * MINUTE + 1);
  for (let at = 0; at < 20_000; at += 1) assert.ok(guard.take(digest(`later ${at}`)));
  assert.equal(all.windowMs, 10 * MINUTE, 'nothing was forgotten early');
  assert.ok(guard.take(digest(0)));
});

test('a message that is given free, and forgotten, and signed again, stays signed', () => {
  const { guard, clock } = makeGuard(4096);
  const ticket = guard.take(digest('a'), 'slow')!;
  const late = guard.take(digest('late'), 'slow')!;
  ticket.release();
  clock.advance(9 * MINUTE);
  assert.ok(guard.take(digest('a'), 'edge'));
  clock.advance(2 * MINUTE);
  guard.take(digest('b'), 'edge');
  assert.equal(guard.take(digest('a'), 'edge'), undefined, 'the first one’s end is not the second one’s');
  assert.ok(guard.take(digest('late'), 'edge'), 'it was forgotten');
  for (const each of [ticket, late]) each.release();
  assert.equal(guard.take(digest('late'), 'edge'), undefined, 'who gives it free late had it before');
  assert.equal(guard.take(digest('a'), 'edge'), undefined, 'nor is it given free again');
});

/** @returns milliseconds of CPU time that so many take */
function timeToTake(count: number, choose: (bytes: Buffer, at: number) => void): number {
  const { guard } = makeGuard(2 * count);
  const digests = Array.from({ length: count }, (_, at) => {
    const bytes = randomBytes(32);
    choose(bytes, at);
    return bytes;
  });
  const since = process.cpuUsage();
  for (const bytes of digests) assert.ok(guard.take(bytes));
  const { user, system } = process.cpuUsage(since);
  return (user + system) / 1000;
}

test('digests that a peer has chosen cost what others do', () => {
  const count = 20_000;
  const others = Math.max(
    timeToTake(count, () => {}),
    timeToTake(count, () => {}),
  );
  for (let word = 0; word < 32; word += 4) {
    const only = timeToTake(count, (bytes, at) => bytes.fill(0x11).writeUInt32BE(at, word));
    assert.ok(only < 20 * others, `bytes ${word} to ${word + 3} alone: ${only} ms, others ${others} ms`);
    const allElse = timeToTake(count, (bytes) =>
      bytes.fill(0x11, word, word + 4).fill(0x22, (word + 8) % 32, ((word + 8) % 32) + 4),
    );
    assert.ok(
      allElse < 20 * others,
      `all but bytes ${word} to ${word + 3}: ${allElse} ms, others ${others} ms`,
    );
  }
});

test('in one turn no more is forgotten than takes a moment', () => {
  const { guard, clock } = makeGuard(100_000);
  for (let at = 0; at < 50_000; at += 1) guard.take(digest(at));
  clock.advance(10 * MINUTE + 1);
  for (let at = 0; at < 64; at += 1) guard.take(digest(`later ${at}`));
  let forgotten = 0;
  for (let at = 0; at < 50_000; at += 1) if (guard.take(digest(at)) !== undefined) forgotten += 1;
  assert.equal(forgotten, 1024);
});

test('where there is no room, what is old goes first, whosever it is', () => {
  const { guard, all, clock } = makeGuard(16_384);
  for (let at = 0; at < 8000; at += 1) guard.take(digest(at), 'quiet');
  clock.advance(5 * MINUTE);
  for (let at = 0; at < 8384; at += 1) guard.take(digest(`busy ${at}`), 'busy');
  clock.advance(5 * MINUTE + 1);
  for (let at = 0; at < 3000; at += 1) assert.ok(guard.take(digest(`more ${at}`), 'busy'));
  assert.equal(guard.take(digest('busy 0'), 'busy'), undefined);
  assert.equal(all.windowMs, 10 * MINUTE);
});

test('more clients than there are digests for: each that comes has one, and what is there is found', () => {
  const { guard } = makeGuard(2000);
  for (let at = 0; at < 30_000; at += 1) {
    const client = `edge ${at % 12_000}`;
    assert.ok(guard.take(digest(at), client));
    assert.equal(guard.take(digest(at), 'other'), undefined);
  }
});

test('whatever is taken, given free and forgotten, memory says what a list would say', () => {
  const { guard, clock } = makeGuard(512);
  const tickets = new Map<number, { release(): void }>();
  for (let step = 0; step < 20_000; step += 1) {
    const at = (step * 7919) % 1500;
    const ticket = guard.take(digest(at), `edge ${at % 5}`);
    if (ticket === undefined) assert.ok(tickets.has(at), `${at} was never taken`);
    else tickets.set(at, ticket);
    assert.equal(guard.take(digest(at), 'other'), undefined);
    if (step % 3 === 0) {
      tickets.get(at)!.release();
      assert.ok(guard.take(digest(at), 'other') !== undefined, `${at} was not given free`);
    }
    clock.advance(step % 100 === 0 ? 30_000 : 1);
  }
});

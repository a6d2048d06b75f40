import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { ReplayGuard } from '../../../lib/server/replay-guard.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';

const MINUTE = 60_000;

function digest(text: string | number): Buffer {
  return createHash('sha256').update(String(text)).digest();
}

function makeGuard(capacity = 1000) {
  const clock = new ManualClock();
  return { clock, guard: new ReplayGuard({ capacity, windowMs: 10 * MINUTE, clock }) };
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

test('giving messages free leaves all others where they are found', () => {
  const { guard } = makeGuard(4000);
  const tickets = Array.from({ length: 4000 }, (_, at) => guard.take(digest(at)));
  for (let at = 0; at < 4000; at += 3) tickets[at]!.release();
  for (let at = 0; at < 4000; at += 1) {
    if (at % 3 !== 0) assert.equal(guard.take(digest(at)), undefined, `${at} was forgotten`);
  }
  for (let at = 0; at < 4000; at += 3) assert.ok(guard.take(digest(at)), `${at} is still there`);
});

test('a full window ends early, says so, and still remembers the last messages', () => {
  const { guard } = makeGuard(16);
  for (let at = 0; at < 1000; at += 1) {
    assert.ok(guard.take(digest(at)));
    assert.equal(guard.take(digest(at)), undefined);
    if (at >= 15) assert.equal(guard.take(digest(at - 15)), undefined, `${at - 15} was forgotten too early`);
  }
  assert.ok(guard.shortened > 0);
});

/** One alarm for all deadlines. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Alarm, type Clock, systemClock } from '../../lib/clock.ts';
import { Deadlines, type Timed } from '../../lib/deadlines.ts';
import { ManualClock } from '../helpers/manual-clock.ts';

function deadlines() {
  const clock = new ManualClock();
  const it = new Deadlines<Timed>(clock);
  const ended: number[] = [];
  const add = (deadline: number): Timed => {
    const timed: Timed = {
      deadline,
      timeOut: () => {
        ended.push(deadline);
        it.remove(timed);
      },
    };
    it.add(timed);
    return timed;
  };
  return { clock, it, ended, add };
}

test('each ends at its deadline, in whatever order they came, and who is removed does not', () => {
  const { clock, it, ended, add } = deadlines();
  add(100);
  const settled = add(50);
  add(70);
  add(30);
  it.remove(settled);
  for (const [at, expected] of [
    [29, []],
    [30, [30]],
    [69, [30]],
    [70, [30, 70]],
    [100, [30, 70, 100]],
  ] as const) {
    clock.advance(at - clock.now());
    assert.deepEqual(ended, expected, `at ${at} ms`);
  }
  assert.equal(clock.pending, 0);
});

test('a thousand deadlines in a row are a look every five milliseconds', () => {
  const { clock, ended, add } = deadlines();
  for (let at = 0; at < 1000; at += 1) add(1000 + at / 10);
  let looks = 0;
  for (let before = 0; clock.pending > 0; before = ended.length) {
    clock.advance(0.1);
    if (ended.length > before) looks += 1;
  }
  assert.equal(ended.length, 1000);
  assert.ok(looks <= 21, `${looks} looks in 100 ms`);
});

test('one that comes while others end has its time; a deadline that has passed ends at once', () => {
  const { clock, it, ended, add } = deadlines();
  const first: Timed = {
    deadline: 10,
    timeOut: () => {
      it.remove(first);
      add(12);
      add(40);
    },
  };
  it.add(first);
  clock.advance(11);
  clock.advance(1);
  assert.deepEqual(ended, [12]);
  add(5);
  clock.advance(0);
  assert.deepEqual(ended, [12, 5]);
  clock.advance(28);
  assert.deepEqual(ended, [12, 5, 40]);
});

test('after this process stood still, what came meanwhile is read before anything ends', async () => {
  const { clock, it, ended, add } = deadlines();
  add(100);
  const answered = add(100);
  clock.oversleep(1000);
  clock.advance(0);
  assert.deepEqual(ended, []);
  it.remove(answered);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(ended, [100]);
  add(1200);
  clock.advance(200);
  assert.deepEqual(ended, [100, 1200]);
});

test('timers that come before their time, and times that are too long for them, are waited for again', () => {
  const waits: number[] = [];
  let wake = () => {};
  let now = 0;
  const alarm: Alarm = { ref: () => undefined, unref: () => undefined, cancel: () => undefined };
  const clock: Clock = {
    now: () => now,
    after: (ms, onWake) => {
      waits.push(ms);
      wake = onWake;
      return alarm;
    },
  };
  const it = new Deadlines<Timed>(clock);
  let ended = false;
  it.add({ deadline: 3_000_000_000, timeOut: () => (ended = true) });
  now = 2_147_483_647;
  wake();
  now = 2_999_999_999.5;
  wake();
  assert.deepEqual(waits, [2_147_483_647, 852_516_353, 1]);
  assert.equal(ended, false);
  now = 3_000_000_000;
  wake();
  assert.equal(ended, true);
});

test('the process is kept alive while something waits, and by no alarm that is left', () => {
  const kept = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
  const before = kept();
  const it = new Deadlines<Timed>(systemClock);
  const timed: Timed = { deadline: performance.now() + 60_000, timeOut: () => undefined };
  it.add(timed);
  assert.equal(kept(), before + 1);
  it.remove(timed);
  assert.equal(kept(), before);
  it.add(timed);
  assert.equal(kept(), before + 1);
  it.remove(timed);
  it.release();
  assert.equal(kept(), before);
});

test('an exception of one that ends reaches the clock, and the others end all the same', () => {
  const { clock, it, ended, add } = deadlines();
  const thrower: Timed = {
    deadline: 10,
    timeOut: () => {
      it.remove(thrower);
      throw new Error('of a handler');
    },
  };
  it.add(thrower);
  add(10);
  add(20);
  assert.throws(() => clock.advance(10), /of a handler/);
  clock.advance(5);
  assert.deepEqual(ended, [10]);
  clock.advance(5);
  assert.deepEqual(ended, [10, 20]);
});

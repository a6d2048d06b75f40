/** Time that somebody else is given, of which this process may stand still. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { patience } from '../../lib/patience.ts';
import { ManualClock } from '../helpers/manual-clock.ts';

const turn = () => new Promise((resolve) => setImmediate(resolve));

function given(ms: number) {
  const clock = new ManualClock();
  const seen = { ends: 0 };
  const it = patience(clock, ms, () => {
    seen.ends += 1;
  });
  return { clock, seen, it };
}

/** This process stands still, and then its loop comes round. */
async function standStill(clock: ManualClock, ms: number): Promise<void> {
  clock.oversleep(ms);
  clock.advance(0);
  await turn();
}

for (const ms of [1, 50, 1000]) {
  test(`${ms} ms end in their time, once`, () => {
    const { clock, seen } = given(ms);
    clock.advance(ms - 1);
    assert.equal(seen.ends, 0);
    clock.advance(1);
    assert.equal(seen.ends, 1);
    assert.equal(clock.pending, 0);
  });
}

test('however long this process stands still: that is half of the time', async () => {
  const { clock, seen } = given(1000);
  await standStill(clock, 3_600_000);
  clock.advance(499);
  assert.equal(seen.ends, 0);
  clock.advance(1);
  assert.equal(seen.ends, 1);
});

for (const turnMs of [20, 50, 120]) {
  test(`in a process whose turns take ${turnMs} ms, 100 ms end by two of them later at most`, async () => {
    const { clock, seen } = given(100);
    const since = clock.now();
    while (seen.ends === 0) {
      clock.oversleep(turnMs);
      clock.advance(0);
      await turn();
    }
    assert.ok(clock.now() - since <= 100 + 2 * turnMs, `${clock.now() - since} ms`);
  });
}

test('what is there is read before the end', async () => {
  const { clock, seen, it } = given(1000);
  clock.advance(990);
  clock.oversleep(100);
  clock.advance(0);
  assert.equal(seen.ends, 0);
  it.cancel();
  await turn();
  assert.equal(seen.ends, 0);

  const other = given(1000);
  other.clock.advance(990);
  await standStill(other.clock, 100);
  assert.equal(other.seen.ends, 1, 'and if nothing is, it ends');
});

test('what is cancelled does not end, in whichever share', () => {
  for (const ms of [0, 300, 999]) {
    const { clock, seen, it } = given(1000);
    clock.advance(ms);
    it.cancel();
    clock.advance(2000);
    assert.deepEqual([seen.ends, clock.pending], [0, 0]);
  }
});

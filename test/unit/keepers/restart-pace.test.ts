/** When a process that holds keys is started again. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RestartPace } from '../../../lib/keepers/restart-pace.ts';

test('the first end is followed at once, the next ones later and later, a minute at most, and for ever', () => {
  const pace = new RestartPace();
  const delays = Array.from({ length: 10 }, () => {
    pace.started(0);
    return pace.afterEnd(10);
  });
  assert.deepEqual(delays, [0, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000]);
});

test('one that has lived for a minute is followed at once again; one that could not be started was none', () => {
  const pace = new RestartPace();
  for (const lived of [0, 60_000, 59_999]) {
    pace.started(0);
    assert.equal(pace.afterEnd(lived), lived === 59_999 ? 1000 : 0);
  }
  pace.started(100_000);
  assert.equal(pace.afterEnd(100_001), 2000);
  assert.equal(pace.afterEnd(102_001), 4000);
});

test('while none can be started, attempts come later and later, however long the last one had lived', () => {
  const pace = new RestartPace();
  pace.started(0);
  const attempts = [60_000, 60_000, 61_000, 63_000, 200_000].map((at) => pace.afterEnd(at));
  assert.deepEqual(attempts, [0, 1000, 2000, 4000, 8000]);
});

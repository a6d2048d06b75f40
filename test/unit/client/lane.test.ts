/** What one kind of operation says of a key server. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Lane, STANDSTILL_MS } from '../../../lib/client/lane.ts';

/** Operations one after the other, each of which goes elsewhere after so long. @returns when the last one did */
function outrun(lane: Lane, times: number, ms: number, start: number): number {
  let now = start;
  for (let time = 0; time < times; time += 1) {
    lane.begin(now);
    now += ms;
    lane.abandon(ms, now);
    now += 10_000;
  }
  return now;
}

test('a key server that others always outrun stands still, however short each of them waited for it', () => {
  const lane = new Lane();
  lane.begin(0);
  lane.succeed(2, 2);
  const now = outrun(lane, 13, 40, 1000);
  assert.equal(lane.standsStill(now), false, 'nothing waits');
  lane.begin(now);
  assert.equal(lane.standsStill(now), true, 'it has had 520 ms, and answered nothing');
  assert.ok(lane.silenceMs(now) < STANDSTILL_MS + 40, 'nobody waited in between');
});

for (const [what, answer] of [
  ['a result', (lane: Lane, now: number) => lane.succeed(2, now)],
  ['an error', (lane: Lane, now: number) => lane.fail(now)],
  [
    'an answer that nobody waited for',
    (lane: Lane, now: number) => {
      lane.abandon(2, now);
      lane.answerLate(1, now);
    },
  ],
] as const) {
  test(`it does not after ${what}`, () => {
    const lane = new Lane();
    const now = outrun(lane, 13, 40, 0);
    lane.begin(now);
    answer(lane, now + 2);
    lane.begin(now + 2);
    assert.equal(lane.silenceMs(now + 2), 0);
  });
}

test('what takes long is known by its late answers, and that it answers at all', () => {
  const lane = new Lane();
  const now = outrun(lane, 1, 40, 0);
  lane.begin(now);
  assert.equal(lane.answers(now), false, 'nothing is known to have been answered');
  assert.equal(lane.isKnownToAnswer(now), false);
  lane.answerLate(300, now);
  assert.equal(lane.answers(now), true);
  assert.equal(lane.isKnownToAnswer(now), true);
  assert.equal(lane.averageMs(now), 300);
  assert.equal(lane.p95Ms(now), undefined, 'percentiles are of those that somebody waited for');
});

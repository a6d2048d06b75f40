/** How many operations a key server has at once. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { Congestion } from '../../../lib/client/congestion.ts';
import { PendingRequests } from '../../../lib/client/pending-requests.ts';
import { Tally } from '../../../lib/client/tally.ts';

/** As many answers as there are operations at once, each of which took so long. @returns the time after them */
function answers(congestion: Congestion, ms: number, now: number): number {
  const count = Math.floor(congestion.limit);
  for (let answer = 0; answer < count; answer += 1) congestion.record(ms, Math.floor(congestion.limit), now);
  return now + ms;
}

test('operations at once double while answers are as fast as ever', () => {
  const congestion = new Congestion();
  let now = 0;
  const limits = [congestion.limit];
  for (let round = 0; round < 4; round += 1) {
    now = answers(congestion, 5, now);
    limits.push(congestion.limit);
  }
  assert.deepEqual(limits, [64, 128, 256, 512, 1024]);
});

test('they do not grow where they are not needed', () => {
  const congestion = new Congestion();
  for (let answer = 0; answer < 1000; answer += 1) congestion.record(5, 3, answer);
  assert.equal(congestion.limit, 64);
});

test('late answers take a third of them, once for all that were under way, and not below 64', () => {
  const congestion = new Congestion();
  let now = answers(congestion, 5, 0);
  now = answers(congestion, 300, now + 300);
  assert.equal(Math.round(congestion.limit), 90);
  now = answers(congestion, 200, now);
  assert.ok(congestion.limit > 90 && congestion.limit < 110, 'no more doubling');
  for (let round = 0; round < 20; round += 1) now = answers(congestion, 400, now + 400);
  assert.equal(congestion.limit, 64);
});

test('answers that are not waited for count, and a way that is long is no queue', () => {
  const [missing, far] = [new Congestion(), new Congestion()];
  answers(missing, 5, 0);
  missing.recordMissing(20, 120, 4000);
  assert.equal(missing.limit, 128, 'the client went, it was not late');
  missing.recordMissing(1000, 100, 5000);
  assert.equal(missing.limit, 70);
  let now = 0;
  for (let round = 0; round < 3; round += 1) now = answers(far, 240, now);
  now = answers(far, 600, now);
  assert.equal(far.limit, 1024, 'twice the fastest and a bit is tolerated');
  answers(far, 800, now + 800);
  assert.ok(far.limit < 800);
});

test('a network that has become slower is no queue after a minute', () => {
  const congestion = new Congestion();
  for (let now = 0; now < 100_000; now += 100) congestion.record(now < 10_000 ? 5 : 500, 60, now);
  const { limit } = congestion;
  answers(congestion, 500, 101_000);
  assert.ok(congestion.limit > limit);
});

test('what was given up keeps a key server busy until it is answered, or forgotten', () => {
  const pending = new PendingRequests();
  const [one, two, three] = [0, 0, 0].map(() => pending.add(() => undefined)) as [number, number, number];
  pending.giveUp(one);
  pending.giveUp(two);
  assert.deepEqual([pending.waiting, pending.occupying], [1, 3]);
  pending.settle(one, { kind: 'result', payload: new Uint8Array(1) });
  assert.equal(pending.occupying, 2);
  pending.forget();
  assert.equal(pending.occupying, 2, 'it was given up lately');
  pending.forget();
  assert.deepEqual([pending.occupying, pending.unanswered], [1, 2]);
  pending.settle(two, { kind: 'result', payload: new Uint8Array(1) });
  pending.settle(three, { kind: 'result', payload: new Uint8Array(1) });
  assert.deepEqual([pending.occupying, pending.unanswered, pending.late], [0, 0, 2]);
});

test('results that turn out to be wrong are made up for by the next ones: no count goes back', () => {
  const tally = new Tally();
  const counts = () => [tally.succeeded, tally.failed];
  tally.count(new Uint8Array(1), false);
  tally.count(new Uint8Array(1), false);
  tally.takeBack(true);
  assert.deepEqual(counts(), [2, 1]);
  tally.takeBack(false);
  for (let times = 0; times < 3; times += 1) tally.count(new Uint8Array(1), false);
  assert.deepEqual(counts(), [3, 1]);
});

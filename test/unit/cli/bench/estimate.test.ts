/** A figure is known no better than its rounds, and its processes, agree. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  differenceEstimate,
  type Estimate,
  inverse,
  ONE_PAIR,
  ratioEstimate,
  withinOne,
} from '../../../../lib/cli/bench/estimate.ts';
import { apart } from '../../../../lib/cli/bench/figures-in-words.ts';
import { joined } from '../../../../lib/cli/bench/generations.ts';
import { TARGETS } from '../../../../lib/cli/bench/targets.ts';
import { stateOf } from '../../../../lib/cli/bench/verdicts.ts';

const near = (one: number, other: number) => assert.ok(Math.abs(one - other) < 1e-3, `${one}, ${other}`);

test('an interval is of the neighbours, so that a machine that becomes slower widens none', () => {
  const { value, interval } = differenceEstimate([2, 3, 4, 5, 6], [1, 2, 3, 4, 5]);
  assert.deepEqual([value, interval], [1, [1, 1]]);
  const [least, most] = ratioEstimate([2, 4, 8, 16], [1, 2, 4, 8]).interval!;
  near(least, 2 / ONE_PAIR);
  near(most, 2 * ONE_PAIR);
});

test("it is Student's, of 95 %", () => {
  // Mean 3, standard error 0.70711, quantile 2.776.
  const { interval } = differenceEstimate([1, 2, 3, 4, 5], [0, 0, 0, 0, 0]);
  near(interval![0], 3 - 2.776 * Math.SQRT1_2);
  near(interval![1], 3 + 2.776 * Math.SQRT1_2);
  const two = differenceEstimate([1, 2], [0, 0]).interval!;
  near(two[1] - two[0], 12.71);
});

test('of one round nothing is known but itself', () => {
  assert.deepEqual(ratioEstimate([2], [1]), { value: 2, interval: undefined });
  assert.deepEqual(differenceEstimate([2], [1]), { value: 1, interval: undefined });
  assert.equal(ratioEstimate([2, Number.NaN], [1, 1]).interval, undefined);
});

test('the figure itself is never outside', () => {
  const isWithin = ({ value, interval }: Estimate) => interval![0] <= value && value <= interval![1];
  // Only in the middle round, which the medians are of, is there a difference.
  const [of, to] = [
    [1, 1, 20, 100, 100],
    [1, 1, 10, 100, 100],
  ];
  for (const estimate of [
    ratioEstimate([1, 1, 9], [1, 3, 3], 3),
    ratioEstimate(of, to),
    ratioEstimate(of, to, 5),
    withinOne(of, to),
    differenceEstimate(of, to),
    differenceEstimate(to, of),
  ])
    assert.ok(isWithin(estimate), JSON.stringify(estimate));
});

test('several generations of processes are what is told apart, and not their many rounds', () => {
  // Each pair of processes agrees with itself and with no other one.
  const of = [0.92, 0.92, 0.92, 1.03, 1.03, 1.03, 1.03, 1.03, 1.03, 0.98, 0.98, 0.98];
  const to = of.map(() => 1);
  const { interval } = ratioEstimate(of, to, 4);
  assert.ok(interval![0] < 0.93 && interval![1] > 1.04, String(interval));
});

test('native against native is not certain, and neither met nor missed by chance', () => {
  // Ratios of five pairs of native edges of the same code, each the median of rounds in turn.
  const pairs = [0.919, 1.03, 1.029, 0.984, 0.957];
  const several = ratioEstimate(
    pairs,
    pairs.map(() => 1),
    pairs.length,
  );
  assert.equal(stateOf(TARGETS.bulk, several.interval), 'not certain');
  for (const pair of pairs) {
    const rounds = [pair, pair * 1.001, pair * 0.999];
    const { interval } = ratioEstimate(rounds, [1, 1, 1]);
    assert.equal(stateOf(TARGETS.bulk, interval), 'not certain', String(pair));
  }
});

test('where all of them agree, a target of 3 % is met', () => {
  const { interval } = ratioEstimate([1, 1.01, 1, 0.99, 1.005], [1, 1, 1, 1, 1], 5);
  assert.equal(stateOf(TARGETS.bulk, interval), 'met');
});

test('what is handshakes for a core is CPU the other way round', () => {
  assert.deepEqual(inverse({ value: 0.5, interval: [0.4, 0.8] }), { value: 2, interval: [1.25, 2.5] });
  assert.deepEqual(inverse({ value: 0.5, interval: undefined }), { value: 2, interval: undefined });
});

test('a figure beyond its limit is not written as the limit', () => {
  assert.equal(apart(1.0304, [1.03]), '1.0304');
  assert.equal(apart(1.03, [1.03]), '1.03');
  assert.equal(apart(0.9699, [0.97, 1.03]), '0.9699');
  assert.equal(apart(1.2345, [1.03]), '1.23');
  assert.equal(apart(80.04, [80]), '80.04');
});

test('rounds of all generations are in their order', () => {
  const all = joined([
    { a: [1, 2], b: [3] },
    { a: [4, 5], b: [6] },
  ]);
  assert.deepEqual(all, { a: [1, 2, 4, 5], b: [3, 6] });
});

/** What the benchmark promises, and that nothing counts as met that was not measured well. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { paceWarning } from '../../../../lib/cli/bench/pace.ts';
import type { Answered, Measured } from '../../../../lib/cli/bench/question.ts';
import { QUESTIONS } from '../../../../lib/cli/bench/questions.ts';
import { TARGETS, type Target } from '../../../../lib/cli/bench/targets.ts';
import {
  allowanceInWords,
  countOf,
  limitOf,
  shownOf,
  stateOf,
  verdictsOf,
} from '../../../../lib/cli/bench/verdicts.ts';

test('the targets are those of the issue that asked for the benchmark', () => {
  const limits = Object.entries<Target>(TARGETS).map(([name, { least, most, unit }]) => [
    ...[name, least, most, unit],
  ]);
  assert.deepEqual(limits, [
    ['rsaCost', undefined, 0.52, '×'],
    ['rsaGain', 1.9, undefined, '×'],
    ['ecCost', undefined, 1.08, '×'],
    ['resumed13', 0.97, 1.03, '×'],
    ['resumed12', 0.97, 1.03, '×'],
    ['rsaShim', undefined, 1.03, '×'],
    ['rsaShimVerified', undefined, 1.03, '×'],
    ['ecShim', undefined, 1.05, '×'],
    ['isolate', 1.3, undefined, '×'],
    ['addedLatency', undefined, 0.4, 'ms'],
    ['bulk', 0.97, 1.03, '×'],
    ['memory', undefined, 80, 'KB'],
  ]);
  for (const { question } of Object.values(TARGETS)) {
    assert.ok(
      QUESTIONS.some(({ name }) => name === question),
      question,
    );
  }
});

test('a target is met, or not, where the whole interval is on one side of its limit', () => {
  const target = { question: '', claim: '', unit: '×' };
  assert.equal(stateOf({ ...target, most: 0.52 }, [0.4, 0.52]), 'met');
  assert.equal(stateOf({ ...target, most: 0.52 }, [0.521, 0.6]), 'not met');
  assert.equal(stateOf({ ...target, most: 0.52 }, [0.5, 0.53]), 'not certain');
  assert.equal(stateOf({ ...target, least: 1.9 }, [1.7, 1.89]), 'not met');
  assert.equal(stateOf({ ...target, least: 0.97, most: 1.03 }, [0.96, 1.04]), 'not certain');
  assert.equal(stateOf({ ...target, least: 0.97, most: 1.03 }, [0.98, 1.02]), 'met');
  assert.equal(stateOf({ ...target, most: 1 }, [Number.NaN, Number.NaN]), 'not certain');
  // Of one round.
  assert.equal(stateOf({ ...target, most: 1 }, undefined), 'not certain');
  assert.equal(limitOf({ ...target, least: 0.97, most: 1.03 }), 'at least 0.970 ×, at most 1.03 ×');
});

test('what is left for one pair of processes is said, and what it takes to meet a target with it', () => {
  const left = '8 % are left on either side, for what one pair of processes does not show';
  assert.equal(allowanceInWords(TARGETS.rsaCost, 1.08), `${left}: to be met takes 0.481 × or less`);
  assert.equal(allowanceInWords(TARGETS.rsaGain, 1.08), `${left}: to be met takes 2.05 × or more`);
  assert.equal(allowanceInWords(TARGETS.resumed13, 1.08), `${left}: so it cannot be met`);
  const measured = { target: 'bulk', value: 1, interval: [0.93, 1.08], allowance: 1.08 } as const;
  const noteOf = (more: Measured) =>
    verdictsOf([answered('bulk', [more])]).find(({ name }) => name === 'bulk')?.note;
  assert.equal(noteOf({ ...measured, note: 'one' }), `one; ${left}: so it cannot be met`);
  assert.equal(noteOf({ target: 'bulk', value: 1, interval: [0.98, 1.02] }), undefined);
});

const answered = (name: string, measured: readonly Measured[], more: Partial<Answered> = {}): Answered => ({
  ...{ name, title: name, failed: false, words: [], tables: [], plots: [], warnings: [] },
  ...{ measured, disowned: false, disturbed: false, rounds: 5, raw: 0, ...more },
});

test('what failed, what was not asked, and what was disturbed is neither met nor forgotten', () => {
  const answers = [
    answered('handshakes', [
      { target: 'rsaCost', value: 0.5, interval: [0.49, 0.51] },
      { target: 'rsaGain', value: 1.5, interval: [1.4, 1.6] },
      { target: 'ecCost', value: 0.85, interval: [0.8, 0.9], doubtful: true },
    ]),
    answered(
      'resumed',
      [
        { target: 'resumed13', value: 1, interval: [1, 1] },
        { target: 'resumed12', value: 1, interval: [1, 1] },
      ],
      { disowned: true, disturbed: false },
    ),
    answered('bulk', [], { failed: true }),
    answered('isolate', [{ target: 'isolate', value: Number.NaN, note: 'one core' }]),
  ];
  const verdicts = verdictsOf(answers);
  const states = Object.fromEntries(verdicts.map(({ name, state }) => [name, state]));
  assert.deepEqual(states, {
    ...{ rsaCost: 'met', rsaGain: 'not met', ecCost: 'not certain' },
    ...{ resumed13: 'not certain', resumed12: 'not certain', bulk: 'not measured', isolate: 'not measured' },
    ...{ rsaShim: 'not measured', rsaShimVerified: 'not measured', ecShim: 'not measured' },
    ...{ addedLatency: 'not measured', memory: 'not measured' },
  });
  assert.equal(countOf(verdicts), '1 of 12 targets met, 1 not met, 3 not certain, 7 not measured.');
  const shown = shownOf(verdicts, answers).map(({ name }) => name);
  assert.deepEqual(shown, ['rsaCost', 'rsaGain', 'ecCost', 'resumed13', 'resumed12', 'isolate', 'bulk']);
});

test('a target is held to the disturbance of the rounds it is of, and to that of the question where it does not say', () => {
  const of = (measured: Partial<Measured>, disturbed: boolean) => {
    const figure: Measured = { target: 'bulk', value: 1, interval: [0.98, 1.02], ...measured };
    const all = verdictsOf([answered('bulk', [figure], { disturbed })]);
    const { state, note } = all.find(({ name }) => name === 'bulk')!;
    return [state, note];
  };
  const held = ['not certain', 'something disturbed these rounds'];
  assert.deepEqual(of({ disturbed: false }, true), ['met', undefined]);
  assert.deepEqual(of({ disturbed: true }, true), held);
  assert.deepEqual(of({}, true), held);
  assert.deepEqual(of({}, false), ['met', undefined]);
});

test('of a machine that changed its speed between questions no milliseconds are a verdict, and that is told', () => {
  const more: Measured = { target: 'addedLatency', value: 0.2, interval: [0.1, 0.3] };
  const ratio: Measured = { target: 'ecCost', value: 1, interval: [0.99, 1.01] };
  const of = (handshakes: number, load: number, others: Readonly<Record<string, number>> = {}) => [
    answered('handshakes', [ratio], { natively: { 'P-256, TLS 1.3': handshakes, ...others } }),
    answered('load', [more], { natively: { 'P-256, TLS 1.3': load, 'RSA-2048, TLS 1.3': 1 } }),
    answered('distance', []),
  ];
  const judged = (answers: readonly Answered[]) => {
    const verdict = (which: string) => verdictsOf(answers).find(({ name }) => name === which)!;
    return [verdict('ecCost').state, verdict('addedLatency').state, verdict('addedLatency').note];
  };
  const slow = of(0.421, 0.737);
  assert.deepEqual(judged(slow), ['met', 'not certain', "the machine's speed changed between questions"]);
  assert.match(
    paceWarning(slow)!,
    /^The speed of this machine changed .*, by 1\.75 ×: .* \(P-256, TLS 1\.3, 16 at once\) cost its edge 0\.421 ms in ".*", 0\.737 ms in ".*"\. /,
  );
  assert.match(paceWarning(of(0.4, 0.4, { 'RSA-2048, TLS 1.3': 0.7 }))!, /by 1\.43 ×: .* \(RSA-2048/);
  for (const steady of [
    of(0.4, 0.49),
    of(0.49, 0.4),
    of(0.4, Number.NaN),
    of(0.4, 0.4, { 'P-384, TLS 1.3': 9 }),
  ]) {
    assert.equal(paceWarning(steady), undefined);
    assert.deepEqual(judged(steady), ['met', 'met', undefined]);
  }
});

test('a figure on the right side of its limit is no verdict where its rounds reach over it', () => {
  const of = (measured: Measured) =>
    verdictsOf([answered('bulk', [measured])]).find(({ name }) => name === 'bulk')?.state;
  assert.equal(of({ target: 'bulk', value: 1.02, interval: [0.98, 1.06] }), 'not certain');
  assert.equal(of({ target: 'bulk', value: 1.1, interval: [1.02, 1.2] }), 'not certain');
  assert.equal(of({ target: 'bulk', value: 1 }), 'not certain');
  assert.equal(of({ target: 'bulk', value: 1.01, interval: [0.98, 1.03] }), 'met');
});

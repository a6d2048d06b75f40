/** Statistics, order of rounds, accounts of CPU time, progress: the parts of the benchmark that need no handshake. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { childrenOf, cpuMsOf, swappedOf } from '../../../../lib/cli/bench/process-figures.ts';
import { Progress } from '../../../../lib/cli/bench/progress.ts';
import { QUESTIONS, QUICK_QUESTIONS } from '../../../../lib/cli/bench/questions.ts';
import { interleave } from '../../../../lib/cli/bench/rounds.ts';
import { expectedSeconds } from '../../../../lib/cli/bench/run.ts';
import { FULL, QUICK } from '../../../../lib/cli/bench/scale.ts';
import { median, percentile, spreadOf } from '../../../../lib/cli/bench/statistics.ts';

test('the median is the middle, or the mean of the two in the middle', () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 3, 2]), 2.5);
  assert.equal(median([7]), 7);
  assert.ok(Number.isNaN(median([])));
  assert.deepEqual(spreadOf([3, 1, 2]), { median: 2, least: 1, most: 3 });
});

test('a percentile is a value that was measured', () => {
  const hundred = Array.from({ length: 100 }, (_, index) => 100 - index);
  assert.equal(percentile(hundred, 0.99), 99);
  assert.equal(percentile(hundred, 0.5), 50);
  assert.equal(percentile(hundred, 1), 100);
  assert.equal(percentile([5], 0), 5);
});

test('rounds are in turn, and each contestant begins as often as it ends', async () => {
  const order: string[] = [];
  const contestant = (name: string) => async () => order.push(name);
  const values = await interleave({ a: contestant('a'), b: contestant('b') }, 4);
  assert.equal(order.join(''), 'abbaabba');
  assert.deepEqual(values, { a: [1, 4, 5, 8], b: [2, 3, 6, 7] });
});

test('what is swapped out of a process is told, where the system does', {
  skip: process.platform !== 'linux',
}, () => {
  assert.ok(swappedOf(process.pid)! >= 0);
  // There is no such process.
  assert.equal(swappedOf(2 ** 30), undefined);
});

test('the CPU time of a process rises with its work, and is what the process says itself', () => {
  const [before, usage] = [cpuMsOf(process.pid)!, process.cpuUsage()];
  const until = process.cpuUsage().user + 50_000;
  while (process.cpuUsage().user < until);
  const { user, system } = process.cpuUsage(usage);
  const [risen, own] = [cpuMsOf(process.pid)! - before, (user + system) / 1000];
  assert.ok(Math.abs(risen - own) <= 25, `${risen} ms, by its own account ${own} ms`);
  assert.equal(cpuMsOf(2 ** 22), undefined);
  assert.equal(cpuMsOf(undefined), undefined);
});

test('the children of a process are found', async () => {
  const child = spawn(process.execPath, ['-e', 'process.stdin.resume()']);
  await once(child, 'spawn');
  assert.ok(childrenOf(process.pid).includes(child.pid!));
  child.kill();
  await once(child, 'exit');
  assert.ok(!childrenOf(process.pid).includes(child.pid!));
});

test('progress says what is left, corrected by how long things took so far', () => {
  const lines: string[] = [];
  let now = 0;
  const questions = [
    { title: 'A', seconds: 10 },
    { title: 'B', seconds: 100 },
  ];
  const progress = new Progress({ write: (text) => lines.push(text) }, questions, () => now);
  progress.next();
  progress.say('something');
  now = 20_000;
  progress.next();
  progress.end();
  assert.equal(lines.join(''), '1 of 2, about 2 min left: A\n2 of 2, about 3 min left: B\n');
});

test('progress on a terminal is one line', () => {
  const lines: string[] = [];
  const progress = new Progress(
    { isTTY: true, write: (text) => lines.push(text) },
    [{ title: 'A', seconds: 12 }],
    () => 0,
  );
  progress.next();
  progress.say('B');
  progress.end();
  assert.deepEqual(lines, [
    '\r\u001b[K1 of 1, about 15 s left: A',
    '\r\u001b[K1 of 1, about 15 s left: A: B',
    '\r\u001b[K',
  ]);
});

test('progress is never longer than a row of the terminal, of which there is one line to clear', () => {
  const lines: string[] = [];
  const output = { isTTY: true, columns: 40, write: (text: string) => lines.push(text) };
  const progress = new Progress(output, [{ title: 'A'.repeat(80), seconds: 12 }], () => 0);
  progress.next();
  output.columns = 30;
  progress.say('B');
  const shown = lines.map((line) => line.slice('\r\u001b[K'.length));
  assert.deepEqual(
    shown.map((line) => [line.length, line.at(-1)]),
    [
      [39, '…'],
      [29, '…'],
    ],
  );
  assert.match(shown[0]!, /^1 of 1, about 15 s left: A+…$/);
});

test('a quick run is expected to take less than a minute, a full one less than fifteen', () => {
  assert.ok(expectedSeconds(QUICK_QUESTIONS, QUICK) < 55);
  // With what a machine may take longer.
  assert.ok(expectedSeconds(QUESTIONS, FULL) < 14 * 60, `${expectedSeconds(QUESTIONS, FULL)} s`);
});

test('a full run has at least five rounds of everything', () => {
  for (const { name, rounds } of QUESTIONS) assert.ok(rounds(FULL) >= 5, name);
  assert.ok(FULL.warmUpMs >= 5000 && QUICK.warmUpMs >= 5000);
});

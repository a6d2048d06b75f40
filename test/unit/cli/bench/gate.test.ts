/** The budgets of `npm run bench:gate`, and how many tries it gives; the gate itself is run by .ci/run, with its canary. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BUDGETS } from '../../../../bench/budgets.ts';
import { oneOf } from '../../../../bench/tries.ts';
import { readSource } from '../../house/source-tree.ts';

/** @returns whether one try was well, and how many were made */
async function tried(...results: readonly boolean[]): Promise<[boolean, number]> {
  let made = 0;
  const well = await oneOf(3, async () => results[made++] ?? false);
  return [well, made];
}

test('one good try of three is enough, and ends them; three bad ones are not', async () => {
  assert.deepEqual(await tried(true), [true, 1]);
  assert.deepEqual(await tried(false, false, true), [true, 3]);
  assert.deepEqual(await tried(false, false, false, true), [false, 3]);
});

test('a measurement that fails is no bad try: it ends the gate', async () => {
  await assert.rejects(
    oneOf(3, async () => {
      throw new Error('nothing was measured');
    }),
    /nothing was measured/,
  );
});

test('every budget has its reason, and is narrow enough for the canary', () => {
  assert.deepEqual(
    BUDGETS.map(({ site }) => site),
    ['RSA-2048', 'P-256'],
  );
  for (const { most, because } of BUDGETS) {
    assert.ok(because.length > 40);
    const best = Number(/best of three tries was ([\d.]+)/.exec(because)?.[1]);
    assert.ok(most > best && most < best * 1.3, `${most} is not between ${best} and 30 % more`);
  }
});

test('what lands passed the gate, and the gate its canary', () => {
  const ci = readSource('.ci/run');
  assert.match(ci, /^step \d+ npm run bench:gate$/m);
  assert.match(ci, /^step \d+ npm run bench:gate -- --canary$/m);
});

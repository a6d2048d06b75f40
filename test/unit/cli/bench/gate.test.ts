/** The budgets of `npm run bench:gate`, how many tries it gives, and that it fails; with its own budgets it is run by .ci/run, with its canary. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { BUDGETS } from '../../../../bench/budgets.ts';
import { keeps, measuredIn, type Subject, sings } from '../../../../bench/gate-check.ts';
import { oneOf } from '../../../../bench/tries.ts';
import { samplesWith } from '../../../helpers/bench.ts';
import { run } from '../../../helpers/programs.ts';
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

/** An edge that costs so much, and in proportion more when it wastes time. */
function subject(
  cost: number,
  blind = false,
): Subject & { readonly measured: number; readonly wasted: number[] } {
  const wasted: number[] = [];
  let measured = 0;
  return {
    wasted,
    get measured() {
      return measured;
    },
    waste: async (ms) => void wasted.push(ms),
    measure: async () => {
      measured += 1;
      return { remoteMs: 2, cost: blind ? cost : cost * (1 + (wasted.at(-1) ?? 0) / 2) };
    },
  };
}

test('the gate is passed within its budget, and after three tries beyond it not', async () => {
  const [good, bad] = [subject(1.5), subject(1.7)];
  assert.deepEqual([await keeps(good, { most: 1.6 }), good.measured], [true, 1]);
  assert.deepEqual([await keeps(bad, { most: 1.6 }), bad.measured], [false, 3]);
});

test('the canary wastes 30 % of what the edge spends, and sings when the gate sees that', async () => {
  const edge = subject(1.3);
  assert.ok(await sings(edge, { most: 1.6 }));
  assert.deepEqual([edge.wasted, edge.measured], [[0, 0.3 * 2], 1 + 3]);
});

test('no canary sings where the gate sees nothing, or the budget is left without it', async () => {
  assert.ok(!(await sings(subject(1.3, true), { most: 1.6 })));
  assert.ok(!(await sings(subject(1.2), { most: 1.6 })));
  const broken = subject(1.62);
  assert.ok(!(await sings(broken, { most: 1.6 })));
  // It was never slowed down: nothing would have been proven.
  assert.deepEqual(broken.wasted, [0, 0, 0]);
});

test('what the gate measures is of the quieter rounds, and of full handshakes', () => {
  const [quiet] = samplesWith({});
  const rounds = (...costs: readonly number[]) => costs.map((edgeCpuMs) => ({ ...quiet!, edgeCpuMs }));
  // Half of them, and more, beside another program; the cheapest is not it either.
  const [native, remote] = [rounds(3, 1, 0.9, 3, 3), rounds(0.6, 9, 0.5, 9, 9)];
  assert.deepEqual(measuredIn(native, remote), { nativeMs: 1, remoteMs: 0.6, cost: 0.6 });
  for (const operations of [0, 0.99, 1.01]) {
    const other = { ...remote[0]!, operations };
    assert.throws(() => measuredIn(native, [...remote.slice(1), other]), /had not one operation/);
  }
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

const BENCH = new URL('../../../../bench/', import.meta.url);

/** Of a short form: what it measures means nothing, and every cost is more than 0. @param most of every budget */
function gateWith(most: number, ...options: readonly string[]) {
  const budgets = new URL('budgets.js', BENCH).href;
  const change =
    `import { BUDGETS, SCALE } from '${budgets}';` +
    `for (const each of BUDGETS) each.most = ${most};` +
    'Object.assign(SCALE, { rounds: 2, roundMs: 30, warmUpMs: 200 });';
  const words = ['--import', `data:text/javascript,${encodeURIComponent(change)}`];
  return run(process.execPath, [...words, fileURLToPath(new URL('gate.js', BENCH)), ...options]);
}

test('the gate fails with a budget that is not kept, and not with one that is', async () => {
  const broken = await gateWith(0);
  assert.equal(broken.code, 1, broken.stderr);
  for (const { site } of BUDGETS)
    assert.match(broken.stderr, new RegExp(`^${site}, TLS 1\\.3: more than 0 in 3 tries\\. The budget`, 'm'));
  const kept = await gateWith(1e9);
  assert.equal(kept.code, 0, kept.stderr);
});

test('the canary fails where the slowdown leaves the budget kept', async () => {
  const blind = await gateWith(1e9, '--canary');
  assert.equal(blind.code, 1, blind.stderr);
  assert.match(blind.stderr, /there was no attempt of 3/);
});

test('what lands passed the gate, and the gate its canary', () => {
  const ci = readSource('.ci/run');
  assert.match(ci, /^step \d+ npm run bench:gate$/m);
  assert.match(ci, /^step \d+ npm run bench:gate -- --canary$/m);
});

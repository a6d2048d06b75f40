/** Fleets whose key servers are not alike: slow ones, far ones, busy ones. Time is the test's, chance always the same. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type Load, type Manner, SimulatedFleet } from '../../helpers/simulated-fleet.ts';

/** Each can do 2,000 operations a second. */
const away = (awayMs: number): Manner => ({ workMs: 0.5, awayMs });
const NEAR = away(0.5);

/** @param awayMs of each key server but the first ones, which are near */
function run(context: TestContext, near: number, awayMs: readonly number[], load: Load) {
  const fleet = new SimulatedFleet([...Array.from({ length: near }, () => NEAR), ...awayMs.map(away)]);
  const took = fleet.run(load);
  const p99 = took[Math.ceil(took.length * 0.99) - 1]!;
  const { asked, hedged } = fleet;
  context.diagnostic(`p99 ${p99} ms, longest ${took.at(-1)}; asked ${asked}, ${hedged} twice`);
  assert.ok(hedged <= 10 + took.length / 20, `${hedged} second requests for ${took.length}`);
  return { p99, asked, operations: took.length };
}

const SLOW = [
  [1, [2000, 2000]],
  [1, [2000, 2000, 2000]],
  [2, [2000, 2000, 2000, 2000]],
  [1, [800, 800, 800]],
  [1, [5000, 5000, 5000]],
] as const;
for (const [near, awayMs] of SLOW) {
  for (const load of [
    { perSecond: 20, seconds: 200 },
    { perSecond: 200, seconds: 20 },
  ]) {
    test(`${near} near, others take ${awayMs} ms, ${load.perSecond} operations a second: of 100 99 wait less than 100 ms`, (context) => {
      const { p99 } = run(context, near, awayMs, load);
      assert.ok(p99 < 100, `p99 ${p99} ms`);
    });
  }
}

const FAR = [[30], [30, 30, 30], [10, 50, 50]] as const;
for (const awayMs of FAR) {
  for (const load of [
    { perSecond: 10, seconds: 200 },
    { perSecond: 1000, seconds: 5 },
  ]) {
    test(`1 near, others take ${awayMs} ms, ${load.perSecond} operations a second: the near one is asked`, (context) => {
      const { p99, asked, operations } = run(context, 1, awayMs, load);
      assert.ok(p99 < 15, `p99 ${p99} ms`);
      assert.ok(asked[0]! >= operations * 0.98);
    });
  }
}

for (const awayMs of [...FAR, [300, 300, 300]]) {
  test(`1 near, others take ${awayMs} ms: it is used, and what is more than it can do goes to them`, (context) => {
    const { p99, asked, operations } = run(context, 1, awayMs, { perSecond: 2500, seconds: 4 });
    assert.ok(p99 < Math.max(...awayMs) + 5, `p99 ${p99} ms`);
    assert.ok(asked[0]! > operations * 0.75);
  });
}

for (const load of [
  { perSecond: 20, seconds: 20 },
  { perSecond: 6000, seconds: 1 },
]) {
  test(`four that are alike share ${load.perSecond} operations a second`, (context) => {
    const { asked, operations } = run(context, 4, [], load);
    for (const each of asked) assert.ok(each > operations * 0.15 && each < operations * 0.35, `${asked}`);
  });
}

/** What is said of latency under load: by the rounds in which it was offered, and by those that said how much half of it is. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as load from '../../../../lib/cli/bench/questions/load.ts';
import { QUIET, samplesWith } from '../../../helpers/bench.ts';

const closedAt = (clientUtilisation: number, edgeCpuMs = 0.25) => ({
  native: samplesWith({ edgeCpuMs, perSecond: 2000, clientUtilisation }),
  remote: samplesWith({}),
});

const round = (medianMs: number): load.Round => ({
  ...{ medianMs, p90Ms: 2, p99Ms: 3, perSecond: 100, dropped: 0, clientUtilisation: 0.5, waits: QUIET },
  ...{ operations: 1, resumed: 0, agreement: 1, due: { operations: 1, resumed: 0 } },
});

const step = (share: number, native: number, remote: number): load.Step => ({
  ...{
    share,
    offered: 100,
    native: [round(native), round(native)],
    remote: [round(remote), round(remote)],
  },
});

const result = (native: number, remote: number): load.Result => ({
  ...{ site: 'P-256', capacity: { native: 200, remote: 180 }, closed: closedAt(0.5) },
  steps: [step(0.1, 1, 9), step(0.5, native, remote), step(0.85, 1, 9)],
});

test('the latency that is added is remote less native, at half of the load', () => {
  assert.deepEqual(load.measuredOf([result(1, 1.25)], true), [
    { target: 'addedLatency', value: 0.25, interval: [0.25, 0.25], doubtful: false, disturbed: false },
  ]);
  assert.match(
    load.conclusionOf(result(1, 1.25), true),
    /takes 0\.250 ms more in the median \(0\.250 to 0\.250\)/,
  );
  assert.match(
    load.conclusionOf(result(41.6, 1), true),
    /takes 40\.6 ms less in the median \(40\.6 to 40\.6\)/,
  );
  const one = { ...step(0.5, 1, 1.25), native: [round(1)], remote: [round(1.25)] };
  const unknown = load.conclusionOf({ ...result(1, 2), steps: [one] }, true);
  assert.match(
    unknown,
    /these rounds do not tell whether a remote handshake takes longer: 0\.250 ms more in the median\.$/,
  );
  const own = load.conclusionOf(result(1, 2), true);
  assert.match(own, /uses 50 % of a core for that\. At half of it \(25 % of a core\)/);
  const [half] = load.measuredOf([{ ...result(1, 2), closed: closedAt(0.97) }], true);
  assert.equal(half?.note, "half of what the clients can do: 25 % of the edge's core");
  const limit = load.conclusionOf({ ...result(1, 2), closed: closedAt(0.97) }, true);
  const [shared] = load.measuredOf([{ ...result(1, 2), closed: closedAt(0.97) }], false);
  assert.equal(shared?.note, undefined);
  const both = load.conclusionOf({ ...result(1, 2), closed: closedAt(0.97, 0.48) }, true);
  // The edge has no more to give either.
  assert.match(both, /uses 96 % of a core for that\. At half/);
  assert.match(limit, /uses 50 % of a core for that: the clients have no time for more\. At half/);
});

test('rounds whose clients were full, or that were disturbed, or miscounted, are no verdict', () => {
  const dropped = { ...result(1, 2), steps: [{ ...step(0.5, 1, 2), remote: [{ ...round(2), dropped: 7 }] }] };
  assert.match(load.doubts([dropped]).warnings.join(), /did not begin 7 connections/);
  assert.equal(load.measuredOf([dropped], true)[0]?.doubtful, true);
  assert.doesNotMatch(load.conclusionOf(dropped, true), /At half/);
  const busy = { ...round(2), clientUtilisation: 0.99 };
  const limited = { ...result(1, 2), steps: [{ ...step(0.5, 1, 2), remote: [busy] }] };
  assert.match(load.doubts([limited]).warnings.join(), /clients used all of a core/);
  assert.equal(load.measuredOf([limited], true)[0]?.doubtful, true);
  const waits = { ...QUIET, clients: 0.3 };
  const disturbed = (...steps: load.Result['steps']) =>
    load.measuredOf([{ ...result(1, 2), steps }], true)[0]?.disturbed;
  const held = (share: number) => ({ ...step(share, 1, 2), remote: [{ ...round(2), waits }] });
  assert.deepEqual([disturbed(step(0.5, 1, 2), held(0.7)), disturbed(held(0.5))], [false, true]);
  const unsure = { ...result(1, 2), closed: { ...closedAt(0.5), native: samplesWith({ waits }) } };
  assert.equal(load.measuredOf([unsure], true)[0]?.disturbed, true);
  const miscounted = { ...result(1, 2), closed: { ...closedAt(0.5), remote: samplesWith({ resumed: 1 }) } };
  assert.ok(load.doubts([miscounted]).disowned);
  // The verdict is of rounds that are offered.
  assert.ok(!load.doubts([result(1, 2)]).disowned);
  for (const more of [{ operations: 0.99 }, { resumed: 0.01 }, { agreement: 1.01 }]) {
    const steps = [{ ...step(0.5, 1, 2), remote: [{ ...round(2), ...more }] }];
    assert.ok(load.doubts([{ ...result(1, 2), steps }]).disowned, JSON.stringify(more));
  }
});

/**
 * A key server whose operations others always answer first: it may be silent, answer pings and nothing else, be farther away, or
 * slow. Time is the test's.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import tls from 'node:tls';
import { KnownServer } from '../../../lib/client/known-server.ts';
import type { LaneName } from '../../../lib/client/lane.ts';
import { parseServerAddress } from '../../../lib/client/server-address.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';

const LANE: LaneName = 'quick';
/** After so long the other one has answered. */
const OUTRUN_AFTER_MS = 50;

/** Its name is never resolved: no socket is opened. */
function known(context: TestContext) {
  const clock = new ManualClock();
  const server = new KnownServer(
    {
      address: parseServerAddress('keys.internal'),
      servername: undefined,
      secureContext: tls.createSecureContext(),
      connectTimeoutMs: 1e9,
      pingIntervalMs: 1e9,
      pingTimeoutMs: 1e9,
      clock,
      lookup: () => undefined,
      connectionsPerServer: 1,
      backOff: { minMs: 1, maxMs: 1, random: () => 1 },
    },
    { onChange: () => undefined, onAnswers: () => undefined },
  );
  context.after(() => server.close());
  return { clock, server };
}

interface Manner {
  readonly everyMs: number;
  /** `undefined`: never. */
  readonly answersAfterMs: number | undefined;
  readonly times: number;
}

/** Operations, each of which another key server answers, and this one later. */
function outrun(
  { clock, server }: ReturnType<typeof known>,
  { everyMs, answersAfterMs, times }: Manner,
): void {
  for (let time = 0; time < times; time += 1) {
    const sentAt = time * everyMs;
    clock.after(sentAt, () => server.begin(LANE, clock.now()));
    clock.after(sentAt + OUTRUN_AFTER_MS, () => server.abandon(LANE, OUTRUN_AFTER_MS, clock.now(), true));
    if (answersAfterMs === undefined) continue;
    clock.after(sentAt + answersAfterMs, () => server.answerLate(LANE, answersAfterMs, true, clock.now()));
  }
  clock.advance(times * everyMs + (answersAfterMs ?? 0));
}

test('whoever answers nothing is left alone once its operations have waited for half a second in all, and five more', (context) => {
  const it = known(context);
  outrun(it, { everyMs: 3000, answersAfterMs: undefined, times: 14 });
  assert.equal(it.server.stats().breaker, 'closed');
  outrun(it, { everyMs: 3000, answersAfterMs: undefined, times: 1 });
  assert.equal(it.server.stats().breaker, 'open');
});

for (const everyMs of [10, 100, 3000]) {
  for (const answersAfterMs of [60, 120, 300]) {
    test(`whoever answers after ${answersAfterMs} ms is trusted, with an operation every ${everyMs} ms`, (context) => {
      const it = known(context);
      outrun(it, { everyMs, answersAfterMs, times: 200 });
      const { breaker, breakerOpened } = it.server.stats();
      assert.deepEqual([breaker, breakerOpened], ['closed', 0]);
      const { p50, p99 } = it.server.stats().latencyMs!;
      assert.ok(
        p50 >= answersAfterMs && p99 < 1.1 * answersAfterMs,
        `it is said to take ${p50} to ${p99} ms`,
      );
    });
  }
}

test('what a client gave up while a key server stood still is no failure of the key server', (context) => {
  const { clock, server } = known(context);
  for (let times = 0; times < 20; times += 1) server.begin(LANE, clock.now());
  clock.advance(600);
  assert.equal(server.standsStill(LANE, clock.now()), true);
  for (let times = 0; times < 10; times += 1) server.abandon(LANE, 600, clock.now(), false);
  assert.equal(server.stats().breaker, 'closed');
  for (let times = 0; times < 5; times += 1) server.abandon(LANE, 600, clock.now(), true);
  assert.equal(server.stats().breaker, 'open');
});

import assert from 'node:assert/strict';
import test from 'node:test';
import { Breaker } from '../../../lib/client/breaker.ts';
import { choose, chooseOther } from '../../../lib/client/choice.ts';
import { type Hedgeable, Hedging } from '../../../lib/client/hedging.ts';
import { Lane } from '../../../lib/client/lane.ts';
import { Latency } from '../../../lib/client/latency.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';

test('percentiles are those of the last answers, a twelfth too many at most', () => {
  const latency = new Latency();
  assert.equal(latency.percentileMs(0.5), undefined);
  for (let ms = 1; ms <= 1000; ms += 1) latency.record(ms, ms);
  for (const share of [0.5, 0.95, 0.99]) {
    const said = latency.percentileMs(share)!;
    assert.ok(said >= 1000 * share && said <= 1000 * share * 1.1, `${share}: ${said}`);
  }
  for (let at = 0; at < 10_000; at += 1) latency.record(1, 50_000);
  assert.ok(latency.percentileMs(0.99)! < 1.1, 'what was before is forgotten');
});

test('percentiles of whoever answers nothing any more are gone after two windows', () => {
  const latency = new Latency();
  latency.record(5, 0);
  latency.forgetOld(9_000);
  assert.ok(latency.percentileMs(0.5) !== undefined);
  latency.forgetOld(15_000);
  assert.ok(latency.percentileMs(0.5) !== undefined, 'the window before');
  latency.forgetOld(26_000);
  assert.equal(latency.percentileMs(0.5), undefined);
  latency.record(5, 30_000);
  latency.forgetOld(51_000);
  assert.equal(latency.percentileMs(0.5), undefined, 'both at once');
});

test('extreme latencies have a bucket too', () => {
  const latency = new Latency();
  for (const ms of [0, 1e-9, 1e12]) latency.record(ms, 0);
  assert.ok(latency.percentileMs(0.01)! < 0.02);
  assert.ok(latency.percentileMs(1)! > 100_000);
});

test('one bad answer counts at once, good ones make up for it one by one, and time heals', () => {
  const latency = new Latency();
  for (let at = 0; at < 50; at += 1) latency.record(1, 0);
  assert.ok(latency.averageMs(0) <= 1);
  latency.record(2000, 0);
  assert.equal(latency.averageMs(0), 2000);
  latency.record(1, 0);
  assert.ok(latency.averageMs(0) > 1700);
  assert.ok(latency.averageMs(10_000) < latency.averageMs(0) / 2.5);
  assert.equal(latency.averageMs(1_000_000), 0.5);
});

test('operations that nobody waited for any longer are no answers: nearly all keep to what they kept to', () => {
  const lane = new Lane();
  for (let at = 0; at < 100; at += 1) {
    lane.begin(at);
    at % 2 === 0 ? lane.succeed(2, at) : lane.abandon(3000, at);
  }
  assert.ok(lane.p95Ms(100)! < 3);
  assert.ok(lane.averageMs(100) > 2000, 'but it is not the one to ask');
  assert.equal(lane.p95Ms(25_000), undefined, 'what was long ago says nothing');
  assert.ok(lane.answers(100_000), 'but it does answer');
});

const candidate = (cost: number, admits = true) => ({ cost: () => cost, admits: () => admits });

test('of two picked at random the cheaper one is chosen; of one, that one; of those that are avoided, none', () => {
  const [a, b, c] = [candidate(3), candidate(1), candidate(2)];
  const random = (...values: number[]) => {
    const left = [...values];
    return () => left.shift() ?? 0;
  };
  assert.equal(choose([a, b, c], [], 'quick', 0, random(0, 0)), b, 'the first and the second');
  assert.equal(choose([a, b, c], [], 'quick', 0, random(0, 0.9)), c, 'the first and the third');
  assert.equal(choose([a, b, c], [b], 'quick', 0, random(0, 0)), c);
  assert.equal(choose([a, candidate(0, false)], [], 'quick', 0, random()), a);
  assert.equal(choose([a], [a], 'quick', 0, random()), undefined);
  assert.equal(choose([], [], 'quick', 0, random()), undefined);
});

test('of others one that is known to answer is chosen, however little the unknown ones seem to cost; or else any', () => {
  const tried = (cost: number, isKnown: boolean, admits = true) => ({
    ...candidate(cost, admits),
    isKnownToAnswer: () => isKnown,
  });
  const [known, unknown, full] = [tried(100, true), tried(1, false), tried(1, true, false)];
  const other = (...of: (typeof known)[]) => chooseOther(of, [], 'quick', 0, () => 0);
  assert.equal(other(unknown, known, full), known);
  assert.equal(other(unknown, full), unknown);
  assert.equal(
    chooseOther([unknown, known], [known], 'quick', 0, () => 0),
    unknown,
  );
});

function breaker(answers: boolean) {
  const clock = new ManualClock();
  const seen = { probes: 0, states: [] as string[], answers };
  const it = new Breaker(clock, () => 1, {
    probe: (onAnswer) => {
      seen.probes += 1;
      onAnswer(seen.answers);
    },
    onChange: (state) => seen.states.push(state),
  });
  return { clock, seen, it };
}

test('the breaker opens after five failures in a row, asks by ping, and closes after one success', () => {
  const { clock, seen, it } = breaker(true);
  for (let failures = 0; failures < 4; failures += 1) it.onFailure();
  it.onSuccess();
  for (let failures = 0; failures < 4; failures += 1) it.onFailure();
  assert.equal(it.state, 'closed');
  it.onFailure();
  assert.equal(it.state, 'open');
  clock.advance(999);
  assert.equal(seen.probes, 0);
  clock.advance(1);
  assert.equal(it.state, 'half-open');
  it.onSuccess();
  assert.deepEqual(seen.states, ['open', 'half-open', 'closed']);
  assert.equal(it.opened, 1);
});

test('a success that was none is a failure: also in a row, and while it is tried', () => {
  const { clock, it } = breaker(true);
  for (let times = 0; times < 4; times += 1) {
    it.onSuccess();
    it.onTakenBack();
  }
  assert.equal(it.state, 'closed');
  it.onSuccess();
  it.onSuccess();
  it.onTakenBack();
  it.onTakenBack();
  assert.equal(it.state, 'open');
  it.onTakenBack();
  assert.equal(it.opened, 1);
  clock.advance(1000);
  assert.equal(it.state, 'half-open');
  it.onTakenBack();
  assert.equal(it.opened, 2);
});

test('half of the last twenty are too many; fewer are not', () => {
  const { it } = breaker(true);
  for (let at = 0; at < 60; at += 1) at % 3 === 0 ? it.onFailure() : it.onSuccess();
  assert.equal(it.state, 'closed');
  for (let at = 0; at < 20; at += 1) at % 2 === 0 ? it.onFailure() : it.onSuccess();
  assert.equal(it.opened, 1);
});

test('who does not answer its ping, or fails when it is tried, is left alone for twice as long, up to half a minute', () => {
  const { clock, seen, it } = breaker(false);
  for (let failures = 0; failures < 5; failures += 1) it.onFailure();
  clock.advance(1000 + 2000 + 4000);
  assert.equal(seen.probes, 3);
  seen.answers = true;
  clock.advance(8000);
  assert.equal(it.state, 'half-open');
  it.onFailure();
  assert.equal(it.state, 'open');
  clock.advance(15_999);
  assert.equal(it.state, 'open');
  clock.advance(1);
  it.onFailure();
  clock.advance(30_000);
  assert.equal(it.state, 'half-open');
  it.stop();
  assert.equal(clock.pending, 0);
});

test('a stopped breaker stays as it is: no failure opens it, and no answer to its ping', () => {
  const { clock, seen, it } = breaker(true);
  it.stop();
  for (let failures = 0; failures < 20; failures += 1) it.onFailure();
  it.onTakenBack();
  assert.deepEqual([it.state, it.opened, clock.pending], ['closed', 0, 0]);

  const asked: ((answered: boolean) => void)[] = [];
  const probing = new Breaker(clock, () => 1, {
    probe: (onAnswer) => void asked.push(onAnswer),
    onChange: (state) => seen.states.push(state),
  });
  for (let failures = 0; failures < 5; failures += 1) probing.onFailure();
  clock.advance(1000);
  probing.stop();
  asked[0]!(false);
  probing.onReachable();
  probing.onSuccess();
  assert.deepEqual([probing.state, seen.states, clock.pending], ['open', ['open'], 0]);
});

test('once trusted again, a key server is left alone for one second as at first', () => {
  const { clock, it } = breaker(true);
  for (const time of ['first', 'second']) {
    for (let failures = 0; failures < 5; failures += 1) it.onFailure();
    clock.advance(1000);
    assert.equal(it.state, 'half-open', time);
    it.onSuccess();
  }
});

test('a new connection is as good as a ping', () => {
  const { clock, it } = breaker(true);
  it.onReachable();
  assert.equal(it.state, 'closed');
  for (let failures = 0; failures < 5; failures += 1) it.onFailure();
  it.onReachable();
  assert.equal(it.state, 'half-open');
  assert.equal(clock.pending, 0);
});

class Slow implements Hedgeable {
  settled = false;
  mayBeHedged = true;
  sentAt: number;
  deadline = Number.POSITIVE_INFINITY;
  still = false;
  constructor(sentAt: number) {
    this.sentAt = sentAt;
  }
  standsStill(): boolean {
    return this.still;
  }
}

function hedging(others = true) {
  const clock = new ManualClock();
  const hedged: Slow[] = [];
  const other = { answers: true };
  const delay = { ms: 10 };
  /** When it was thought that the operation might be lost. */
  const lost: number[] = [];
  const it = new Hedging<Slow, typeof other>({
    clock,
    delayMs: () => delay.ms,
    otherFor: (_operation, mayBeLost) => {
      if (mayBeLost) lost.push(clock.now());
      return others ? other : undefined;
    },
    answers: ({ answers }) => answers,
    hedge: (operation) => {
      operation.mayBeHedged = false;
      hedged.push(operation);
    },
  });
  const send = () => {
    const operation = new Slow(clock.now());
    it.watch(operation);
    return operation;
  };
  return { clock, hedged, it, other, delay, lost, send };
}

test('who is slower than the delay is asked for elsewhere, once; who is settled is not', () => {
  const { clock, hedged, it, send } = hedging();
  const [slow, quick] = [send(), send()];
  clock.advance(5);
  quick.settled = true;
  const later = send();
  clock.advance(5);
  assert.deepEqual(hedged, [slow]);
  clock.advance(5);
  assert.deepEqual(hedged, [slow, later]);
  clock.advance(1000);
  assert.equal(it.sent, 2);
  slow.settled = true;
  later.settled = true;
  clock.advance(100);
  assert.equal(clock.pending, 0, 'no timer without operations');
});

test('whose second request came to nothing is asked for again', () => {
  const { clock, hedged, send } = hedging();
  const operation = send();
  clock.advance(200);
  assert.deepEqual(hedged, [operation]);
  operation.mayBeHedged = true;
  clock.advance(100);
  assert.deepEqual(hedged, [operation, operation]);
});

test('who waits for a key server is asked for nowhere else, and has its time again once it is sent', () => {
  const { clock, hedged, it, send } = hedging();
  const operation = send();
  operation.mayBeHedged = false;
  clock.advance(500);
  assert.deepEqual(hedged, []);
  operation.mayBeHedged = true;
  operation.sentAt = clock.now() + 95;
  clock.advance(100);
  assert.deepEqual(hedged, []);
  clock.advance(100);
  assert.deepEqual(hedged, [operation]);
  assert.equal(it.sent, 1);
});

test('second requests keep to their budget: ten, and one for every twenty operations', () => {
  const { clock, hedged, send } = hedging();
  for (let at = 0; at < 400; at += 1) {
    send();
    clock.advance(20);
  }
  assert.ok(hedged.length >= 28 && hedged.length <= 30, `${hedged.length}`);
});

test('where a key server stands still, its operations need no budget, unless the other one does as well', () => {
  const { clock, hedged, other, send } = hedging();
  const all = Array.from({ length: 100 }, send);
  clock.advance(20);
  assert.equal(hedged.length, 10);
  for (const operation of all) operation.still = true;
  other.answers = false;
  clock.advance(100);
  assert.equal(hedged.length, 10);
  other.answers = true;
  clock.advance(100);
  assert.equal(hedged.length, 100);
});

test('a standstill is over after half a second, however long nearly all answers took of late', () => {
  const { clock, hedged, delay, send } = hedging();
  delay.ms = 15_000;
  const [still, slow] = [send(), send()];
  still.still = true;
  clock.advance(499);
  assert.deepEqual(hedged, []);
  clock.advance(101);
  assert.deepEqual(hedged, [still]);
  clock.advance(14_300);
  assert.deepEqual(hedged, [still]);
  clock.advance(200);
  assert.deepEqual(hedged, [still, slow]);
});

test('whoever has waited for half of its time needs no budget, unless the other one is no better', () => {
  const { clock, hedged, other, send } = hedging();
  const all = Array.from({ length: 30 }, send);
  for (const operation of all) operation.deadline = 4000;
  clock.advance(1900);
  assert.equal(hedged.length, 10);
  other.answers = false;
  clock.advance(200);
  assert.equal(hedged.length, 10);
  other.answers = true;
  clock.advance(200);
  assert.equal(hedged.length, 30);
});

test('half of little time is no reason', () => {
  const { clock, hedged, send } = hedging();
  for (let at = 0; at < 30; at += 1) send().deadline = 400;
  clock.advance(450);
  assert.equal(hedged.length, 10);
});

test('an operation is thought to be lost after half a second, and after more where nearly all take long', () => {
  const { clock, delay, lost, send } = hedging(false);
  send();
  clock.advance(400);
  assert.deepEqual(lost, []);
  clock.advance(300);
  assert.ok(lost[0]! > 500 && lost[0]! <= 620, `after ${lost[0]}`);
  lost.length = 0;
  delay.ms = 300;
  clock.advance(400);
  assert.deepEqual(lost, []);
  clock.advance(300);
  assert.ok(lost[0]! > 1200 && lost[0]! <= 1320, `after ${lost[0]}`);
});

test('second requests go out sooner as soon as key servers are quicker again', () => {
  const { clock, hedged, delay, send } = hedging();
  delay.ms = 4000;
  const first = send();
  clock.advance(150);
  delay.ms = 10;
  const next = send();
  clock.advance(100);
  assert.deepEqual(hedged, [first, next]);
});

test('where there is nobody else to ask, nothing is spent, and it ends with the operations', () => {
  const { clock, it, send } = hedging(false);
  const operation = send();
  clock.advance(500);
  assert.equal(it.sent, 0);
  operation.settled = true;
  clock.advance(500);
  assert.equal(clock.pending, 0);
  send();
  it.stop();
  assert.equal(clock.pending, 0);
});

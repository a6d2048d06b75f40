/** Who is next when there is room, who is the first to go when too many wait, and that nobody stays behind. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type Waiting, WaitingLine } from '../../../lib/client/waiting-line.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

class Somebody implements Waiting {
  readonly startedAt: number;
  readonly request: { readonly deadline: number };

  constructor(startedAt: number, ms: number) {
    this.startedAt = startedAt;
    this.request = { deadline: startedAt + ms };
  }
}

function lineOf(...all: readonly Somebody[]): WaitingLine<Somebody> {
  const line = new WaitingLine<Somebody>();
  for (const each of all) line.add(each);
  return line;
}

function leave(line: WaitingLine<Somebody>, who: Somebody | undefined): Somebody | undefined {
  if (who !== undefined) line.remove(who);
  return who;
}

const take = (line: WaitingLine<Somebody>, now: number) => leave(line, line.next(now));
const takeFirst = (line: WaitingLine<Somebody>) => leave(line, line.first);

function drain(line: WaitingLine<Somebody>, next: () => Somebody | undefined): (Somebody | undefined)[] {
  return Array.from({ length: line.size }, next);
}

test('who waits has a turn; the newest is first when the oldest has waited for half of its time', () => {
  const one = new Somebody(0, 1000);
  const two = new Somebody(100, 1000);
  const three = new Somebody(200, 1000);
  const four = new Somebody(300, 1000);
  const line = lineOf(one, two, three, four);
  assert.equal(take(line, 400), one);
  assert.equal(take(line, 601), four);
  line.remove(three);
  assert.equal(line.size, 1);
  assert.equal(take(line, 601), two);
  assert.equal(take(line, 601), undefined);
});

test('where time-outs differ, whose deadline is the next is first: to be served, and to go', () => {
  const [long, short, middle] = [new Somebody(0, 10_000), new Somebody(1, 50), new Somebody(2, 1000)];
  const line = lineOf(long, short, middle);
  assert.deepEqual(
    drain(line, () => takeFirst(line)),
    [short, middle, long],
  );
  for (const each of [long, short, middle]) line.add(each);
  assert.equal(take(line, 10), short);
  assert.equal(take(line, 600), long, 'the middle one is at risk: who has the most time left');
  assert.equal(take(line, 600), middle);
});

test('equal deadlines go in the order in which they came, and after all that are earlier', () => {
  const all = Array.from({ length: 300 }, (_, at) => new Somebody(0, 100 + (at % 3)));
  const line = lineOf(...all);
  const order = [0, 1, 2].flatMap((rest) => all.filter((_, at) => at % 3 === rest));
  assert.deepEqual(
    drain(line, () => takeFirst(line)),
    order,
  );
});

test('the line forgets who has gone, wherever they stood', () => {
  const all = Array.from({ length: 5000 }, (_, at) => new Somebody(at, 100_000));
  const line = lineOf(...all);
  for (const each of all.slice(10, 4990)) line.remove(each);
  const left = drain(line, () => take(line, 5000));
  assert.deepEqual(left, [...all.slice(0, 10), ...all.slice(4990)]);
  assert.equal(takeFirst(line), undefined);
});

/** @returns how many of a thousand who left, each by `go`, are still in memory while `stay` others wait on */
async function remembered(
  stay: number,
  go: (line: WaitingLine<Somebody>, who: Somebody) => unknown,
): Promise<number> {
  const line = lineOf(...Array.from({ length: stay }, () => new Somebody(0, 1e9)));
  const gone = Array.from({ length: 1000 }, () => {
    const somebody = new Somebody(0, 1000);
    line.add(somebody);
    go(line, somebody);
    return new WeakRef(somebody);
  });
  // A WeakRef holds what it refers to until the turn in which it was made is over.
  await new Promise(setImmediate);
  collect();
  assert.equal(line.size, stay);
  return gone.filter((each) => each.deref() !== undefined).length;
}

for (const [how, go] of [
  ['run out of time', (line, who) => line.remove(who)],
  ['are shed', takeFirst],
] as readonly [string, (line: WaitingLine<Somebody>, who: Somebody) => unknown][]) {
  test(`those who ${how} while nobody is served are let go of`, async () => {
    assert.ok((await remembered(0, go)) <= 1, 'when nobody waits any more');
    const left = await remembered(100, go);
    assert.ok(left <= 170, `${left}: no more than those who wait on, and a few`);
  });
}

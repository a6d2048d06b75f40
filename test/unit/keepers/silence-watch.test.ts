/** When a process that holds keys is taken for stopped. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SilenceWatch } from '../../../lib/keepers/silence-watch.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';

const LIMIT_MS = 1000;

class Asked {
  readonly clock = new ManualClock();
  waiting = 0;
  silences = 0;
  readonly watch = new SilenceWatch(
    LIMIT_MS,
    { waits: () => this.waiting > 0, onSilence: () => this.count() },
    this.clock,
  );

  count(): void {
    this.silences += 1;
  }

  ask(): void {
    this.watch.asking();
    this.waiting += 1;
  }

  answer(): void {
    this.watch.heard();
    this.waiting -= 1;
  }

  /** Time passes, and the loop turns. */
  async pass(ms: number): Promise<void> {
    this.clock.advance(ms);
    await new Promise(setImmediate);
  }
}

test('one that answers nothing is silent when the limit is over, and not before', async () => {
  const asked = new Asked();
  asked.ask();
  await asked.pass(LIMIT_MS - 1);
  assert.equal(asked.silences, 0);
  await asked.pass(1);
  assert.equal(asked.silences, 1);
});

test('silence is counted from the last answer, and from the first question after a rest', async () => {
  const asked = new Asked();
  asked.ask();
  asked.ask();
  await asked.pass(600);
  asked.answer();
  await asked.pass(999);
  assert.equal(asked.silences, 0);
  await asked.pass(1);
  assert.equal(asked.silences, 1);
  asked.answer();
  await asked.pass(5000);
  asked.ask();
  await asked.pass(999);
  assert.equal(asked.silences, 1);
  await asked.pass(1);
  assert.equal(asked.silences, 2);
});

test('an answer that came while this process was busy is read before it is judged', async () => {
  const asked = new Asked();
  asked.ask();
  asked.clock.oversleep(5000);
  asked.clock.advance(0);
  asked.answer();
  asked.ask();
  await asked.pass(0);
  assert.equal(asked.silences, 0);
});

test('a silence that lasts is told of again, until nobody waits', async () => {
  const asked = new Asked();
  asked.ask();
  await asked.pass(LIMIT_MS);
  await asked.pass(LIMIT_MS);
  assert.equal(asked.silences, 2);
  asked.waiting = 0;
  await asked.pass(LIMIT_MS);
  assert.equal(asked.silences, 2);
  assert.equal(asked.clock.pending, 0);
});

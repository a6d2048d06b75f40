/** When an operation is given up that a process with keys was asked for: not before that process has fallen silent. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Deadlines } from '../../../lib/deadlines.ts';
import type { KeylessError } from '../../../lib/errors.ts';
import { Question } from '../../../lib/keepers/question.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';

const LIMIT_MS = 10_000;

function ask(silenceMs = LIMIT_MS) {
  const clock = new ManualClock();
  const questions = new Deadlines<Question>(clock, { holdsProcess: false });
  const results: (string | undefined)[] = [];
  const asked = { key: { name: 'aa' }, items: { opcode: Uint8Array.of(1) }, silenceMs };
  const question = new Question(asked, clock.now(), (result) => {
    questions.remove(question);
    results.push((result as KeylessError).code);
  });
  questions.add(question);
  return { clock, question, results };
}

test('nobody answers: it ends 10 s after it was asked, and once', () => {
  const { clock, question, results } = ask();
  clock.advance(LIMIT_MS - 1);
  assert.deepEqual(results, []);
  clock.advance(1);
  assert.deepEqual(results, ['ERR_KEYLESS_TIMEOUT']);
  question.settle(Uint8Array.of(1));
  clock.advance(LIMIT_MS);
  assert.deepEqual(results, ['ERR_KEYLESS_TIMEOUT']);
});

test('it waits for as long as the process answers others, and 10 s longer', () => {
  const { clock, question, results } = ask();
  const holder = { heardAt: 0 };
  question.moveTo(holder);
  for (let answers = 0; answers < 12; answers += 1) {
    clock.advance(LIMIT_MS - 1);
    holder.heardAt = clock.now();
  }
  assert.deepEqual(results, []);
  clock.advance(LIMIT_MS);
  assert.deepEqual(results, ['ERR_KEYLESS_TIMEOUT']);
});

test('the process that is asked in the place of one that has ended has as long, though it was silent with nothing to do', () => {
  const { clock, question, results } = ask();
  const ended = { heardAt: 0 };
  question.moveTo(ended);
  clock.advance(LIMIT_MS - 1);
  ended.heardAt = clock.now();
  clock.advance(LIMIT_MS - 1);
  ended.heardAt = clock.now();
  question.moveTo({ heardAt: 0 });
  clock.advance(LIMIT_MS - 1);
  assert.deepEqual(results, []);
  clock.advance(1);
  assert.deepEqual(results, ['ERR_KEYLESS_TIMEOUT']);
});

test('two that say nothing, one asked after the other, have no longer than one', () => {
  const { clock, question, results } = ask();
  question.moveTo({ heardAt: 0 });
  clock.advance(1000);
  question.moveTo({ heardAt: 0 });
  clock.advance(LIMIT_MS - 1000);
  assert.deepEqual(results, ['ERR_KEYLESS_TIMEOUT']);
});

test('who wants to wait longer waits longer', () => {
  const { clock, results } = ask(3 * LIMIT_MS);
  clock.advance(3 * LIMIT_MS - 1);
  assert.deepEqual(results, []);
  clock.advance(1);
  assert.deepEqual(results, ['ERR_KEYLESS_TIMEOUT']);
});

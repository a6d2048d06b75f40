/** What is put off until the end of a turn. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { asTurn, atEndOfTurn, inOrder } from '../../lib/turn.ts';

test('in a turn of ours, what is put off is done at its end, in order', () => {
  const done: string[] = [];
  asTurn(() => {
    atEndOfTurn(() => done.push('first'));
    atEndOfTurn(() => done.push('second'));
    done.push('work');
  });
  assert.deepEqual(done, ['work', 'first', 'second']);
});

test('otherwise it is done at the end of the turn of the event loop', async () => {
  const done: string[] = [];
  atEndOfTurn(() => done.push('put off'));
  await Promise.resolve();
  assert.deepEqual(done, []);
  await nextTurn();
  assert.deepEqual(done, ['put off']);
});

test('a turn that throws has an end, and what is put off there comes after it', async () => {
  const done: string[] = [];
  const error = new Error('work');
  const work = () => {
    atEndOfTurn(() => {
      done.push('put off');
      atEndOfTurn(() => done.push('later'));
    });
    throw error;
  };
  assert.throws(() => asTurn(work), error);
  assert.deepEqual(done, ['put off']);
  await nextTurn();
  assert.deepEqual(done, ['put off', 'later']);
});

test('where one throws, those after it have their turn', async () => {
  const done: number[] = [];
  const work = (each: number) => {
    done.push(each);
    if (each === 2) throw new Error('of two');
  };
  assert.throws(() => inOrder([1, 2, 3, 4], work), /of two/);
  assert.deepEqual(done, [1, 2]);
  await nextTurn();
  assert.deepEqual(done, [1, 2, 3, 4]);
});

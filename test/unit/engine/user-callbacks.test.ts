/** When a handshake goes on that has asked its user. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { askAndGoOnLater } from '../../../lib/engine/user-callbacks.ts';

const answer = () => 0;

test('it goes on in the next turn, and in the next tick where its socket is destroyed; once', async () => {
  for (const isOver of [false, true]) {
    const log: string[] = [];
    const question = () => {
      log.push('asked');
      process.nextTick(() => log.push('tick'));
      setImmediate(() => log.push('turn'));
      return answer;
    };
    askAndGoOnLater(
      question,
      () => log.push('goes on'),
      () => isOver,
    );
    await nextTurn();
    assert.deepEqual(log, ['asked', 'tick', 'goes on', 'turn']);
  }
});

test('only so many wait: the others go on at once', async () => {
  const many = 1500;
  let gone = 0;
  for (let index = 0; index < many; index += 1) {
    askAndGoOnLater(
      () => answer,
      () => {
        gone += 1;
      },
      () => false,
    );
  }
  assert.equal(gone, many - 1000);
  await nextTurn();
  assert.equal(gone, many);
});

/** Answers for one key wait for each other, and nothing stays of keys whose answers are sent. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AnswerOrder } from '../../../lib/keepers/answer-order.ts';

function later() {
  let resolve!: (answer: Buffer) => void;
  const promise = new Promise<Buffer>((each) => (resolve = each));
  return { promise, resolve };
}

test('answers of one key leave in their order, those of others at once; then nothing is kept', async () => {
  const order = new AnswerOrder();
  const sent: string[] = [];
  const write = (answer: Buffer) => void sent.push(answer.toString());
  const [slow, fast, other] = [0, 0, 0].map(later);
  const [key, another] = [Buffer.from('a'), Buffer.from('b')];
  order.send(key, slow!.promise, write);
  order.send(key, fast!.promise, write);
  order.send(another, other!.promise, write);
  assert.equal(order.busyKeys, 2);
  fast!.resolve(Buffer.from('second'));
  other!.resolve(Buffer.from('other'));
  await new Promise(setImmediate);
  assert.deepEqual([sent, order.busyKeys], [['other'], 1]);
  slow!.resolve(Buffer.from('first'));
  await new Promise(setImmediate);
  assert.deepEqual([sent, order.busyKeys], [['other', 'first', 'second'], 0]);
});

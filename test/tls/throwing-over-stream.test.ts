/** What handlers throw is uncaught, also where Node calls them in the middle of its work and then writes to a stream of the user's. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stories } from '../helpers/stories.ts';

const native = await stories('throwing-over-stream', 'native');
test('natively each of them is uncaught once', () => {
  for (const [event, uncaught] of Object.entries(native)) assert.deepEqual(uncaught, [`thrown by ${event}`]);
});
for (const mode of ['sync', 'delayed']) {
  const told = await stories('throwing-over-stream', mode);
  test(`the key answers ${mode}: as natively`, () => assert.deepEqual(told, native));
}

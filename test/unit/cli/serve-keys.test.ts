/** When `serve` looks at a store of keys again. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { reloading } from '../../../lib/cli/serve-keys.ts';

const NOTHING = { added: [], removed: [], problems: [] };

test('what changes while a store is looked at is looked at afterwards, once', async () => {
  const ends: (() => void)[] = [];
  const reload = () =>
    new Promise<typeof NOTHING>((resolve) => {
      ends.push(() => resolve(NOTHING));
    });
  let looks = 0;
  const looked = () => {
    looks += 1;
  };
  const look = reloading('store', { reload }, [], () => undefined, looked);
  look();
  look();
  look();
  assert.equal(ends.length, 1);
  ends[0]!();
  await new Promise(setImmediate);
  assert.equal(ends.length, 2);
  ends[1]!();
  await new Promise(setImmediate);
  assert.deepEqual([ends.length, looks], [2, 2]);
  look();
  assert.equal(ends.length, 3);
});

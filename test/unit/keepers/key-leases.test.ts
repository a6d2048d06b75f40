/** Leases of keys end with those that hold them, and not before. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type KeyLease, KeyLeases } from '../../../lib/keepers/key-leases.ts';
import { collectGarbage, collectNow } from '../../helpers/garbage.ts';

/** Held by a map, so that no register or stack slot does. */
function setUp() {
  const lapsed: string[] = [];
  const leases = new KeyLeases((name) => lapsed.push(name));
  const held = new Map<string, KeyLease>();
  const hold = (name: string, by = name) => void held.set(by, leases.of(name));
  return { lapsed, held, hold };
}

async function collectUntil(isDone: () => boolean): Promise<void> {
  while (!isDone()) await collectGarbage();
}

test('a lease lapses when nobody holds it any more, and is one for all that hold it', async () => {
  const { lapsed, held, hold } = setUp();
  for (const [name, by] of [['kept'], ['gone'], ['shared', 'one'], ['shared', 'another']] as const)
    hold(name, by);
  assert.equal(held.get('one'), held.get('another'));
  held.delete('gone');
  held.delete('one');
  await collectUntil(() => lapsed.length > 0);
  for (let count = 0; count < 5; count += 1) await collectGarbage();
  assert.deepEqual(lapsed, ['gone']);
  assert.deepEqual([held.get('kept')?.name, held.get('another')?.name], ['kept', 'shared']);
});

test('a key that is asked for again when its lease is gone, but has not lapsed, does not lapse', async () => {
  const { lapsed, held, hold } = setUp();
  hold('again');
  held.clear();
  await new Promise(setImmediate);
  collectNow();
  hold('again');
  for (let count = 0; count < 5; count += 1) await collectGarbage();
  assert.deepEqual(lapsed, []);
  held.clear();
  await collectUntil(() => lapsed.length > 0);
  assert.deepEqual(lapsed, ['again']);
});

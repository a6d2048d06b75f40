/** Ticks that throw, left by Node to whatever it calls next: that may be ours, and no handshake stands still for it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stories } from '../helpers/stories.ts';

const told = await stories('throwing-ticks-server');
const { native } = told;
assert.ok(Object.keys(native).length > 0);
for (const mode of ['sync', 'delayed'] as const) {
  for (const [name, story] of Object.entries(native)) {
    test(`${name}, the key answers ${mode}: everybody is served as natively`, () =>
      assert.deepEqual(told[mode][name], story));
  }
}

/** Ticks that throw, left by Node to whatever it calls next: that may be ours, and no handshake stands still for it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stories } from '../helpers/stories.ts';

const native = await stories('throwing-ticks-server', 'native');
assert.ok(Object.keys(native).length > 0);
for (const mode of ['sync', 'delayed']) {
  const told = await stories('throwing-ticks-server', mode);
  for (const [name, story] of Object.entries(native)) {
    test(`${name}, the key answers ${mode}: everybody is served as natively`, () =>
      assert.deepEqual(told[name], story));
  }
}

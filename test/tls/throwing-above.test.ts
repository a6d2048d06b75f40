/**
 * What handlers throw above a stream of the user's, or above TLS, is uncaught, and the next ones are called: also where Node calls them in
 * the middle of its work with JavaScript below.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stories } from '../helpers/stories.ts';

interface Story {
  readonly uncaught: readonly string[];
  readonly served: boolean;
}

const { native, ...keyless } = (await stories('throwing-above')) as Record<
  'native' | 'sync' | 'delayed',
  Record<string, Story>
>;
test('natively each of them is uncaught once', () => {
  for (const [what, { uncaught }] of Object.entries(native))
    assert.deepEqual(uncaught, [`thrown by ${what.split(' ')[0]}`]);
});
for (const [mode, told] of Object.entries(keyless)) {
  for (const [what, { uncaught, served }] of Object.entries(native)) {
    test(`${what}, the key answers ${mode}: as natively`, () => {
      assert.deepEqual(told[what]?.uncaught, uncaught);
      // Above a stream in JavaScript Node 20 calls no further handler.
      assert.ok(told[what]?.served === true || !served);
    });
  }
}

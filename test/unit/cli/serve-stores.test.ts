import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tellFailures } from '../../../lib/cli/serve-stores.ts';
import { KeylessError } from '../../../lib/errors.ts';
import { serverKeyFailed } from '../../../lib/server/channels.ts';
import { ManualClock } from '../../helpers/manual-clock.ts';

test('a key that goes on failing is told of when the reason is another one, and every ten seconds', () => {
  const clock = new ManualClock();
  const told: unknown[] = [];
  tellFailures((_, fields) => told.push(typeof fields === 'function' ? fields() : fields), clock);
  const fail = (label: string, message: string) =>
    serverKeyFailed.publish({ label, error: new KeylessError('ERR_KEYLESS_KEY_STORE', message) });
  for (let count = 0; count < 1000; count += 1) fail('a', 'gone');
  for (const [label, message] of [
    ['b', 'gone'],
    ['a', 'locked'],
    ['a', 'gone'],
  ] as const) {
    fail(label, message);
    fail(label, message);
  }
  clock.advance(9_999);
  fail('a', 'gone');
  clock.advance(1);
  fail('a', 'gone');
  assert.deepEqual(
    told.map((each) => Object.values(each as object).join(': ')),
    ['a: gone', 'b: gone', 'a: locked', 'a: gone', 'a: gone'],
  );
});

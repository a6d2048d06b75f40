/** What holds the process while an operation waits: seen by Node's own list of what does. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProcessHold } from '../../../lib/engine/process-hold.ts';
import type { TlsHandle } from '../../../lib/engine/tls-handle.ts';

/** A handle over one that holds the process, does not, or does not say. */
function handleOver(hasRef?: boolean): TlsHandle {
  return { _parent: hasRef === undefined ? {} : { hasRef: () => hasRef } } as unknown as TlsHandle;
}

function timers(): number {
  return process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
}

test('connections whose sockets are unref()ed hold nothing, all others hold one timer together', () => {
  const before = timers();
  const [unrefd, one, other] = [new ProcessHold(), new ProcessHold(), new ProcessHold()];
  unrefd.hold(handleOver(false));
  assert.equal(timers(), before);
  one.hold(handleOver(true));
  other.hold(handleOver());
  assert.equal(timers(), before + 1);
  for (const each of [one, one, unrefd]) each.letGo();
  assert.equal(timers(), before + 1, 'the other one holds it still');
  other.letGo();
  assert.equal(timers(), before);
  one.hold(handleOver(true));
  assert.equal(timers(), before + 1, 'again');
  one.letGo();
});

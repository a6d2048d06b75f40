/** The signal that operations carry for our own keys says what an AbortSignal would say. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type CancelSignal,
  cancelSignalOf,
  kCancelSignal,
  OperationCancelSignal,
} from '../../../lib/keys/cancel-signal.ts';

interface Cancellable {
  readonly signal: CancelSignal;
  abort(reason: unknown): void;
}

function nodes(): Cancellable {
  const controller = new AbortController();
  return { signal: controller.signal as CancelSignal, abort: (reason) => controller.abort(reason) };
}

function ours(): Cancellable {
  const signal = new OperationCancelSignal();
  return { signal, abort: (reason) => signal.abort(reason) };
}

for (const make of [nodes, ours]) {
  test(`${make.name}: a listener is told once, with the reason there to read`, () => {
    const { signal, abort } = make();
    const said: unknown[] = [];
    signal.addEventListener('abort', { handleEvent: () => said.push(signal.reason) }, { once: true });
    assert.equal(signal.aborted, false);
    abort('first');
    abort('second');
    assert.deepEqual([said, signal.aborted, signal.reason], [['first'], true, 'first']);
  });

  test(`${make.name}: a listener that has gone is forgotten`, () => {
    const { signal, abort } = make();
    const listener = { handleEvent: () => assert.fail('called') };
    signal.addEventListener('abort', listener, { once: true });
    signal.removeEventListener('abort', listener);
    abort('reason');
  });
}

for (const make of [nodes, ours]) {
  test(`${make.name}: of several listeners each is told, in their order, but for those that have gone`, () => {
    const { signal, abort } = make();
    const said: string[] = [];
    const listeners = ['1', '2', '3', '4', '5'].map((name) => ({
      handleEvent() {
        said.push(name);
        if (name === '3') signal.removeEventListener('abort', listeners[3]!);
      },
    }));
    for (const listener of listeners) signal.addEventListener('abort', listener, { once: true });
    for (const gone of [0, 1]) signal.removeEventListener('abort', listeners[gone]!);
    signal.addEventListener('abort', listeners[0]!, { once: true });
    abort('reason');
    assert.deepEqual(said, ['3', '5', '1']);
  });
}

test("an operation's own signal is used where there is no cheaper one", () => {
  const { signal } = new AbortController();
  const cheaper = new OperationCancelSignal();
  assert.equal(cancelSignalOf({ signal }), signal);
  assert.equal(cancelSignalOf({ signal, [kCancelSignal]: cheaper }), cheaper);
  assert.equal(cancelSignalOf({}), undefined);
});

/** A signal to a terminal's programs is heard by each at its own time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { Interrupted, unlessInterrupted } from '../../../../lib/cli/bench/session.ts';
import { stopwatch } from '../../../helpers/stopwatch.ts';

const FAILED = new Error('a child has ended');
const failing = () => Promise.reject(FAILED);

for (const signal of ['SIGINT', 'SIGTERM', 'SIGQUIT', 'SIGHUP'] as const) {
  test(`${signal} ends what goes on, once it is cleaned up`, async () => {
    let goesOn: NodeJS.Timeout | undefined;
    const interrupted = unlessInterrupted(
      () => {
        goesOn = setInterval(() => undefined, 1000);
        process.kill(process.pid, signal);
        return new Promise(() => undefined);
      },
      () => {
        clearInterval(goesOn);
        goesOn = undefined;
      },
    );
    await assert.rejects(interrupted, { message: new RegExp(`^${signal}: the benchmark was ended`) });
    assert.equal(goesOn, undefined);
  });
}

test('what fails before its signal is heard has ended by that signal', async () => {
  const told = pause(100).then(() => process.kill(process.pid, 'SIGINT'));
  await assert.rejects(
    unlessInterrupted(failing, () => undefined),
    Interrupted,
  );
  await told;
});

test('what fails without a signal fails for its own reason, and no signal is heard any more', async () => {
  await assert.rejects(
    unlessInterrupted(failing, () => undefined),
    FAILED,
  );
  assert.equal(process.listenerCount('SIGINT'), 0);
});

test('what fails before it waits for anything is cleaned up after as well', async () => {
  let isClean = false;
  const failed = unlessInterrupted(
    () => {
      throw FAILED;
    },
    () => {
      isClean = true;
    },
  );
  await assert.rejects(failed, FAILED);
  assert.ok(isClean);
});

test('what succeeds does not wait', async () => {
  const took = stopwatch();
  assert.equal(
    await unlessInterrupted(
      async () => 'done',
      () => undefined,
    ),
    'done',
  );
  assert.ok(took() < 500);
});

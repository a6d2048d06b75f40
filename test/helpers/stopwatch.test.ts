import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stopwatch } from './stopwatch.ts';

test('a stopwatch does not count that the process stands still', () => {
  const took = stopwatch();
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500);
  const ms = took();
  assert.ok(ms < 100, `${ms} ms`);
});

test('it counts what is waited for', async () => {
  const took = stopwatch();
  for (let turns = 0; turns < 20; turns += 1) await new Promise((resolve) => setTimeout(resolve, 10));
  const ms = took();
  assert.ok(ms >= 90, `${ms} ms of 200 or more`);
});

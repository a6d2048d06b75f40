/** The numbers of sockets that were dropped do not pile up. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { addHandshake, findHandshake, holdHandshake } from '../../../lib/engine/live-handshakes.ts';
import type { SocketHandshake } from '../../../lib/engine/socket-handshake.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const DROPPED = 200_000;
/** Of the heap: each number that is kept costs some seventy, with its reference. */
const MOST_BYTES = 5_000_000;
const standIn = () => ({}) as SocketHandshake;

test('of sockets that were dropped nothing is kept, and those that wait or live are still found', async () => {
  const living = standIn();
  addHandshake(1, living);
  addHandshake(2, standIn());
  holdHandshake(2);
  collect();
  const before = process.memoryUsage().heapUsed;
  for (let id = 3; id < DROPPED; id += 1) {
    addHandshake(id, standIn());
    // A reference is strong until the end of its turn.
    if (id % 1000 === 0) {
      await new Promise(setImmediate);
      collect();
    }
  }
  await new Promise(setImmediate);
  collect();
  const kept = process.memoryUsage().heapUsed - before;
  assert.ok(kept < MOST_BYTES, `${kept} bytes`);
  assert.equal(findHandshake(1), living);
  assert.ok(findHandshake(2) !== undefined);
  assert.equal(findHandshake(3), undefined);
});

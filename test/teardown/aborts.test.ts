/** A small storm of aborted handshakes; test/soak has the large one. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { makeAuthority } from '../helpers/certificates.ts';
import { randomFrom, StormServer, storm } from '../helpers/storm.ts';

it('1,000 handshakes aborted at random moments leave no job behind', async (test) => {
  const server = await StormServer.start(test, await (await makeAuthority()).issue({ type: 'rsa' }), 15);
  const seed = Math.floor(Math.random() * 1e9) + 1;
  test.diagnostic(`seed ${seed}`);
  await storm(server.port, 1000, randomFrom(seed));
  const { paused, queued, operations } = await server.quiet();
  assert.deepEqual({ paused, queued }, { paused: 0, queued: 0 });
  assert.ok(operations > 100, 'the storm reached the operations');
  assert.deepEqual(await server.end(), [0, null]);
});

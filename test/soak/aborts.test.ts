/** 12,000 handshakes aborted at random moments of the operation: no crash, no growth, no job left. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { makeAuthority } from '../helpers/certificates.ts';
import { randomFrom, StormServer, storm } from '../helpers/storm.ts';

/** The least of the last three counts: what leaks is in all of them, pages that V8 is about to give back (3 to 5 MB) are not. */
const THOUSANDS = 12;
/** Before they are counted: until V8 has compiled what it will. From 62 MB it comes to 70 in five to ten, and to 71.8 in fifty. */
const WARM_UP_THOUSANDS = 10;
/** Of the resident set after the second thousand, or the third if that is less. */
const GROWTH_LIMIT = 1.05;

it('12,000 aborted handshakes leave nothing behind', async (test) => {
  const server = await StormServer.start(test, await (await makeAuthority()).issue({ type: 'rsa' }), 15);
  const seed = Math.floor(Math.random() * 1e9) + 1;
  test.diagnostic(`seed ${seed}`);
  const random = randomFrom(seed);
  await storm(server.port, WARM_UP_THOUSANDS * 1000, random);
  const sizes: number[] = [];
  for (let thousand = 1; thousand <= THOUSANDS; thousand += 1) {
    await storm(server.port, 1000, random);
    const { rss, paused, queued } = await server.quiet();
    assert.deepEqual({ paused, queued }, { paused: 0, queued: 0 });
    sizes.push(rss);
  }
  test.diagnostic(`resident MB: ${sizes.map((size) => (size / 1e6).toFixed(1)).join(' ')}`);
  const { operations } = await server.report();
  test.diagnostic(`operations begun: ${operations}`);
  assert.ok(operations > 1000, 'the storm reached the operations');
  const [second, last] = [Math.min(...sizes.slice(1, 3)), Math.min(...sizes.slice(-3))];
  assert.ok(last <= second * GROWTH_LIMIT, `grew from ${second} to ${last}`);
  assert.deepEqual(await server.end(), [0, null]);
});

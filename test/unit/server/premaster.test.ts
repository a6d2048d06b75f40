import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import test from 'node:test';
import { premasterOf } from '../../../lib/server/premaster.ts';

const RANDOM = randomBytes(48);

function block(bytes: number): Buffer {
  const good = Buffer.concat([
    Buffer.of(0, 2),
    Buffer.alloc(bytes - 51, 0xa5),
    Buffer.of(0),
    randomBytes(48),
  ]);
  good[bytes - 48] = 3;
  good[bytes - 47] = 3;
  return good;
}

test('a well-formed block gives its last 48 bytes, for every size of modulus', () => {
  for (const bytes of [59, 128, 256, 384, 512]) {
    const good = block(bytes);
    assert.deepEqual(premasterOf(good, 0x0303, RANDOM), good.subarray(-48));
    assert.deepEqual(premasterOf(good, undefined, RANDOM), good.subarray(-48));
  }
});

test('any wrong byte of the padding gives the random bytes', () => {
  const good = block(256);
  const wrong: [number, number][] = [
    [0, 1],
    [0, 0xff],
    [1, 0],
    [1, 1],
    [1, 3],
    [1, 0x82],
    [207, 1],
    [207, 0x80],
  ];
  for (let at = 2; at < 207; at += 1) wrong.push([at, 0]);
  for (const [at, octet] of wrong) {
    const bad = Buffer.from(good);
    bad[at] = octet;
    assert.deepEqual(premasterOf(bad, 0x0303, RANDOM), RANDOM, `byte ${at} = ${octet}`);
  }
});

test('a version that the client did not offer gives the random bytes', () => {
  const good = block(256);
  for (const version of [0x0302, 0x0301, 0x0203, 0x0304, 0])
    assert.deepEqual(premasterOf(good, version, RANDOM), RANDOM);
});

test("the result is nobody else's memory", () => {
  const good = block(256);
  const premaster = premasterOf(good, 0x0303, RANDOM);
  good.fill(0);
  assert.notDeepEqual(premaster, Buffer.alloc(48));
});

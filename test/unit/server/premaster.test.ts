import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import test from 'node:test';
import { premasterOf } from '../../../lib/server/premaster.ts';

const REJECTION = { premaster: randomBytes(48), otherVersion: randomBytes(48) };
REJECTION.premaster.writeUInt16BE(0x0300);

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
    assert.deepEqual(premasterOf(good, 0x0303, REJECTION), good.subarray(-48));
    assert.deepEqual(premasterOf(good, undefined, REJECTION), good.subarray(-48));
  }
});

test('any wrong byte of the padding gives another premaster, whose version counts as that of a good one does', () => {
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
    const what = `byte ${at} = ${octet}`;
    assert.deepEqual(premasterOf(bad, undefined, REJECTION), REJECTION.premaster, what);
    assert.deepEqual(premasterOf(bad, 0x0300, REJECTION), REJECTION.premaster, what);
    assert.deepEqual(premasterOf(bad, 0x0303, REJECTION), REJECTION.otherVersion, what);
  }
});

test('a version that the client did not offer gives what is for that', () => {
  const good = block(256);
  for (const version of [0x0302, 0x0301, 0x0203, 0x0304, 0x0300, 0])
    assert.deepEqual(premasterOf(good, version, REJECTION), REJECTION.otherVersion);
});

test("the result is nobody else's memory", () => {
  const good = block(256);
  const premaster = premasterOf(good, 0x0303, REJECTION);
  good.fill(0);
  assert.notDeepEqual(premaster, Buffer.alloc(48));
});

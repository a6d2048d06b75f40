import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { KeyedHash } from '../../../lib/server/keyed-hash.ts';

function hashed(hash: KeyedHash, bytes: Uint8Array, ...part: number[]): string {
  hash.hash(bytes, ...part);
  const value = Buffer.alloc(8);
  value.writeUInt32LE(hash.low, 0);
  value.writeUInt32LE(hash.high, 4);
  return value.toString('hex');
}

function byOpenssl(key: Buffer, bytes: Buffer): string {
  const args = ['mac', '-macopt', `hexkey:${key.toString('hex')}`, '-macopt', 'size:8', 'SIPHASH'];
  return execFileSync('openssl', args, { input: bytes, encoding: 'utf8' }).trim().toLowerCase();
}

test('it is OpenSSL’s SipHash, whatever the length', () => {
  const key = randomBytes(16);
  const hash = new KeyedHash(key);
  for (const length of [0, 1, 7, 8, 9, 20, 28, 31, 32, 36, 48, 64, 255, 256, 1000]) {
    const bytes = randomBytes(length);
    assert.equal(hashed(hash, bytes), byOpenssl(key, bytes), `${length} bytes, ${bytes.toString('hex')}`);
  }
});

test('a part of bytes is hashed as if it were all', () => {
  const hash = new KeyedHash();
  const bytes = randomBytes(100);
  for (const [start, end] of [
    [0, 32],
    [1, 34],
    [97, 100],
    [5, 5],
  ] as const)
    assert.equal(hashed(hash, bytes, start, end), hashed(hash, bytes.subarray(start, end)));
});

test('each process has its own', () => {
  const bytes = randomBytes(32);
  assert.notEqual(hashed(new KeyedHash(), bytes), hashed(new KeyedHash(), bytes));
});

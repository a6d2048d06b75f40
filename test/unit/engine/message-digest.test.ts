import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { isDigestOf } from '../../../lib/engine/message-digest.ts';
import { DIGEST_BYTES } from '../../../lib/protocol/digests.ts';

for (const [name, bytes] of Object.entries(DIGEST_BYTES)) {
  test(`${name}: a digest is its message's, and nobody else's`, () => {
    for (const length of [0, 1, 55, 64, 130, 65_535]) {
      const message = randomBytes(length);
      const digest = createHash(name).update(message).digest();
      assert.equal(isDigestOf(name, message, digest), true, `${length} bytes`);
      for (const at of [0, bytes - 1]) {
        const other = Buffer.from(digest);
        other[at]! ^= 1;
        assert.equal(isDigestOf(name, message, other), false);
      }
      assert.equal(isDigestOf(name, Buffer.concat([message, Buffer.of(0)]), digest), false);
      for (const short of [digest.subarray(0, 0), digest.subarray(1), Buffer.concat([digest, digest])])
        assert.equal(isDigestOf(name, message, short), false);
    }
  });
}

test('what comes before a message, and what follows it, is not hashed with it', () => {
  const bytes = randomBytes(300);
  const message = bytes.subarray(100, 200);
  const digest = createHash('sha256').update(Buffer.from(message)).digest();
  assert.equal(isDigestOf('sha256', message, digest), true);
  assert.equal(isDigestOf('sha256', bytes, digest), false);
});

/** Frames that leave together: the same bytes as one by one, whatever memory they share. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FrameBatch } from '../../../lib/protocol/frame-batch.ts';
import { encodeFrame } from '../../../lib/protocol/frame-encoder.ts';
import type { Items } from '../../../lib/protocol/tags.ts';

const ping = (payloadBytes: number, fill = 7): Items => ({
  opcode: Uint8Array.of(0xf1),
  payload: Buffer.alloc(payloadBytes, fill),
});

test('a batch is the frames one after the other, also across its pieces of memory', () => {
  const batch = new FrameBatch();
  const sizes = [0, 5, 2000, 16_000, 1, 40_000, 65_528, 3, 500, 1004, 1005, 1006];
  for (const [id, size] of sizes.entries()) batch.add(id, ping(size));
  assert.deepEqual(batch.take(), Buffer.concat(sizes.map((size, id) => encodeFrame(id, ping(size)))));
  assert.equal(batch.isEmpty, true);
  assert.equal(batch.take().length, 0);
});

test('what was taken is not written to again', () => {
  const batch = new FrameBatch();
  const taken = Array.from({ length: 100 }, (_, id) => {
    batch.add(id, ping(id * 10, id));
    return batch.take();
  });
  for (const [id, frame] of taken.entries()) assert.deepEqual(frame, encodeFrame(id, ping(id * 10, id)));
});

test('a frame that is too long is refused and leaves the others as they are', () => {
  const batch = new FrameBatch();
  batch.add(1, ping(10));
  assert.throws(() => batch.add(2, ping(65_600)), { code: 'ERR_KEYLESS_INVALID_ARGUMENT' });
  batch.add(3, ping(10));
  assert.deepEqual(batch.take(), Buffer.concat([encodeFrame(1, ping(10)), encodeFrame(3, ping(10))]));
});

test('ids of all 32 bits', () => {
  for (const id of [0, 1, 0xffff, 0x1_0000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]) {
    assert.equal(encodeFrame(id, ping(0)).readUInt32BE(4), id);
  }
});

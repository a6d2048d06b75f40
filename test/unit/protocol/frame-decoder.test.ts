import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { KeylessError } from '../../../lib/errors.ts';
import { type Frame, FrameDecoder } from '../../../lib/protocol/frame-decoder.ts';
import { encodeFrame, MAX_FRAME_BYTES } from '../../../lib/protocol/frame-encoder.ts';
import type { Items } from '../../../lib/protocol/tags.ts';
import { checkProperty } from '../../helpers/property.ts';

const bytes = (max: number) => fc.uint8Array({ maxLength: max }).map((array) => Buffer.from(array));
const optional = (max: number) => fc.option(bytes(max), { nil: undefined });

const frames: fc.Arbitrary<{ id: number; items: Items }> = fc.record({
  id: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  items: fc.record({
    opcode: bytes(1),
    payload: optional(300),
    extraPayload: optional(3000),
    keyId: optional(20),
    certificateDigest: optional(32),
    clientAddress: optional(16),
    serverAddress: optional(16),
    servername: optional(300),
    certificateId: optional(10),
    functionName: optional(30),
    tracing: optional(10),
    requestContext: optional(10),
    region: optional(10),
  }),
});

function drain(decoder: FrameDecoder): Frame[] {
  const all: Frame[] = [];
  for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) all.push(frame);
  return all;
}

/** Without the names that are not there, and without padding: what was meant. */
function meaning({ id, items }: { id: number; items: Items }): unknown {
  const present = Object.entries(items).filter(([name, data]) => data !== undefined && name !== 'padding');
  return [id, Object.fromEntries(present.map(([name, data]) => [name, Buffer.from(data).toString('hex')]))];
}

function cut(stream: Buffer, sizes: readonly number[]): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0, turn = 0; at < stream.length; turn += 1) {
    const size = sizes[turn % sizes.length]!;
    chunks.push(Buffer.from(stream.subarray(at, at + size)));
    at += size;
  }
  return chunks;
}

test('whatever was sent arrives, however the stream is cut', async (t) => {
  const sizes = fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 10 });
  const property = fc.property(fc.array(frames, { maxLength: 6 }), sizes, (sent, cuts) => {
    const decoder = new FrameDecoder();
    const stream = Buffer.concat(sent.map(({ id, items }) => encodeFrame(id, items)));
    const received: Frame[] = [];
    for (const chunk of cut(stream, cuts)) {
      decoder.push(chunk);
      received.push(...drain(decoder));
    }
    assert.deepEqual(received.map(meaning), sent.map(meaning));
    assert.equal(decoder.bufferedBytes, 0);
  });
  await checkProperty(t, property);
});

test('frames arrive byte by byte, and keep their bytes when later ones come', () => {
  const decoder = new FrameDecoder();
  const stream = Buffer.concat(
    [1, 2, 3].map((id) => encodeFrame(id, { opcode: Uint8Array.of(id), payload: Buffer.alloc(1500, id) })),
  );
  const received: Frame[] = [];
  for (const octet of stream) {
    decoder.push(Buffer.of(octet));
    received.push(...drain(decoder));
  }
  assert.deepEqual(
    received.map(({ id, items }) => [id, items.opcode![0], items.payload![1499]]),
    [
      [1, 1, 1],
      [2, 2, 2],
      [3, 3, 3],
    ],
  );
});

test('a frame is not read before it is asked for', () => {
  const decoder = new FrameDecoder();
  const frame = encodeFrame(1, { opcode: Uint8Array.of(0xf1) });
  decoder.push(Buffer.concat([frame, frame]));
  assert.equal(decoder.next()?.id, 1);
  assert.equal(decoder.bufferedBytes, frame.length);
  decoder.push(frame);
  assert.equal(drain(decoder).length, 2);
});

for (const size of [1, 7, 1023, 1024, 5000]) {
  test(`what waits in chunks of ${size} bytes arrives, and costs little more than its bytes`, () => {
    const decoder = new FrameDecoder();
    const payload = (id: number) => Buffer.alloc(300, id);
    const sent = Array.from({ length: 200 }, (_, id) => encodeFrame(id, { payload: payload(id) }));
    const stream = Buffer.concat(sent);
    for (const chunk of cut(stream, [size, size, size, 2000])) decoder.push(chunk);
    assert.equal(decoder.waitingBytes, stream.length);
    assert.ok(decoder.allocatedBytes < stream.length / 2, `${decoder.allocatedBytes} for ${stream.length}`);
    const received = drain(decoder);
    assert.equal(received.length, sent.length);
    for (const { id, items } of received) assert.deepEqual(items.payload, payload(id));
    assert.deepEqual([decoder.bufferedBytes, decoder.allocatedBytes], [0, 0]);
  });
}

test('each chunk that waits counts as what it costs', () => {
  const decoder = new FrameDecoder();
  const before = decoder.allocatedBytes;
  for (let count = 0; count < 100; count += 1) decoder.push(Buffer.alloc(1024));
  assert.equal(decoder.allocatedBytes - before, 100 * 256);
});

test('a claimed length allocates nothing', () => {
  const decoder = new FrameDecoder();
  decoder.push(Buffer.from('0100ffff00000001', 'hex'));
  assert.equal(decoder.next(), undefined);
  assert.ok(decoder.allocatedBytes <= 1024);
  decoder.push(Buffer.alloc(5000));
  assert.equal(decoder.next(), undefined);
  assert.ok(decoder.allocatedBytes <= 2 * 5008);
  decoder.push(Buffer.alloc(60_000));
  assert.equal(decoder.next(), undefined);
  assert.ok(decoder.allocatedBytes <= MAX_FRAME_BYTES);
});

test('any bytes at all give frames or a broken frame, and no more memory than one frame', async (t) => {
  const chunks = fc.array(fc.uint8Array({ maxLength: 2000 }), { maxLength: 20 });
  const property = fc.property(chunks, (stream) => {
    const decoder = new FrameDecoder();
    try {
      for (const chunk of stream) {
        decoder.push(Buffer.from(chunk));
        drain(decoder);
        assert.ok(decoder.allocatedBytes <= MAX_FRAME_BYTES);
      }
    } catch (error) {
      assert.ok(error instanceof KeylessError && error.code === 'ERR_KEYLESS_PROTOCOL', String(error));
    }
  });
  await checkProperty(t, property, 500);
});

test('any body in a frame gives items or a broken frame', async (t) => {
  const property = fc.property(fc.uint8Array({ maxLength: 64 }), (body) => {
    const frame = Buffer.concat([Buffer.from([1, 0, 0, body.length, 0, 0, 0, 9]), body]);
    const decoder = new FrameDecoder();
    decoder.push(frame);
    try {
      assert.equal(decoder.next()?.id, 9);
    } catch (error) {
      assert.ok(error instanceof KeylessError && error.code === 'ERR_KEYLESS_PROTOCOL', String(error));
    }
  });
  await checkProperty(t, property, 1000);
});

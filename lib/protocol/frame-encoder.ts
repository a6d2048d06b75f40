/** Frames to bytes (docs/protocol.md, "Frame" and "Padding"). */
import { KeylessError } from '../errors.ts';
import { ITEM_TAGS, type Items, PADDING_TAG } from './tags.ts';

export const HEADER_BYTES = 8;
export const MAX_BODY_BYTES = 65_535;
export const MAX_FRAME_BYTES = HEADER_BYTES + MAX_BODY_BYTES;
const ITEM_HEADER_BYTES = 3;
/** Frames below it are padded, so that the length of one tells little about its operation. */
const PADDED_BYTES = 1024;

function bytesOfItems(items: Items): number {
  let bytes = 0;
  for (const [name] of ITEM_TAGS) {
    const data = items[name];
    if (data !== undefined) bytes += ITEM_HEADER_BYTES + data.length;
  }
  return bytes;
}

function writeItem(frame: Buffer, offset: number, tag: number, data: Uint8Array): number {
  frame[offset] = tag;
  frame.writeUInt16BE(data.length, offset + 1);
  frame.set(data, offset + ITEM_HEADER_BYTES);
  return offset + ITEM_HEADER_BYTES + data.length;
}

/**
 * One whole frame, padded.
 *
 * @param id 0 to 2^32 − 1; a response carries the id of its request
 * @param items `padding` is ignored: the rule decides
 * @throws ERR_KEYLESS_INVALID_ARGUMENT if the body would be longer than 65,535 bytes
 */
export function encodeFrame(id: number, items: Items): Buffer {
  const used = HEADER_BYTES + bytesOfItems(items);
  const padding = used < PADDED_BYTES ? Math.max(0, PADDED_BYTES - used - ITEM_HEADER_BYTES) : -1;
  const total = padding < 0 ? used : used + ITEM_HEADER_BYTES + padding;
  if (total > MAX_FRAME_BYTES) {
    throw new KeylessError(
      'ERR_KEYLESS_INVALID_ARGUMENT',
      `A frame carries at most ${MAX_BODY_BYTES} bytes, not ${total - HEADER_BYTES}.`,
    );
  }
  // Zeroed, because padding is zeros and because an unzeroed buffer would send what was in memory before.
  const frame = Buffer.alloc(total);
  frame[0] = 1;
  frame.writeUInt16BE(total - HEADER_BYTES, 2);
  frame.writeUInt32BE(id, 4);
  let offset = HEADER_BYTES;
  for (const [name, tag] of ITEM_TAGS) {
    const data = items[name];
    if (data !== undefined) offset = writeItem(frame, offset, tag, data);
  }
  if (padding >= 0) writeItem(frame, offset, PADDING_TAG, frame.subarray(total - padding));
  return frame;
}

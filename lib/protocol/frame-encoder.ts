/** Frames to bytes (docs/protocol.md, "Frame" and "Padding"). */
import { KeylessError } from '../errors.ts';
import { type Items, Tag } from './tags.ts';

export const HEADER_BYTES = 8;
export const MAX_BODY_BYTES = 65_535;
export const MAX_FRAME_BYTES = HEADER_BYTES + MAX_BODY_BYTES;
const ITEM_HEADER_BYTES = 3;
/** Frames below it are padded, so that the length of one tells little about its operation. */
const PADDED_BYTES = 1024;

function itemBytes(data: Uint8Array | undefined): number {
  return data === undefined ? 0 : ITEM_HEADER_BYTES + data.length;
}

/** Every item by its name, not in a loop over names: V8 reads a property it can name five times as fast. */
function bytesOfItems(items: Items): number {
  return (
    itemBytes(items.opcode) +
    itemBytes(items.payload) +
    itemBytes(items.extraPayload) +
    itemBytes(items.keyId) +
    itemBytes(items.certificateDigest) +
    itemBytes(items.clientAddress) +
    itemBytes(items.serverAddress) +
    itemBytes(items.servername) +
    itemBytes(items.certificateId) +
    itemBytes(items.functionName) +
    itemBytes(items.tracing) +
    itemBytes(items.requestContext) +
    itemBytes(items.region) +
    itemBytes(items.wait)
  );
}

function writeUint16(target: Buffer, offset: number, value: number): void {
  target[offset] = value >>> 8;
  target[offset + 1] = value & 0xff;
}

/** @returns the offset after the item */
function writeItem(target: Buffer, offset: number, tag: number, data: Uint8Array | undefined): number {
  if (data === undefined) return offset;
  target[offset] = tag;
  writeUint16(target, offset + 1, data.length);
  target.set(data, offset + ITEM_HEADER_BYTES);
  return offset + ITEM_HEADER_BYTES + data.length;
}

/** In the order of docs/protocol.md. */
function writeItems(target: Buffer, start: number, items: Items): number {
  let offset = writeItem(target, start, Tag.OPCODE, items.opcode);
  offset = writeItem(target, offset, Tag.PAYLOAD, items.payload);
  offset = writeItem(target, offset, Tag.EXTRA_PAYLOAD, items.extraPayload);
  offset = writeItem(target, offset, Tag.KEY_ID, items.keyId);
  offset = writeItem(target, offset, Tag.CERTIFICATE_DIGEST, items.certificateDigest);
  offset = writeItem(target, offset, Tag.CLIENT_ADDRESS, items.clientAddress);
  offset = writeItem(target, offset, Tag.SERVER_ADDRESS, items.serverAddress);
  offset = writeItem(target, offset, Tag.SERVERNAME, items.servername);
  offset = writeItem(target, offset, Tag.CERTIFICATE_ID, items.certificateId);
  offset = writeItem(target, offset, Tag.FUNCTION_NAME, items.functionName);
  offset = writeItem(target, offset, Tag.TRACING, items.tracing);
  offset = writeItem(target, offset, Tag.REQUEST_CONTEXT, items.requestContext);
  offset = writeItem(target, offset, Tag.REGION, items.region);
  return writeItem(target, offset, Tag.WAIT, items.wait);
}

/**
 * How long the frame of these items will be, padding and header included.
 *
 * @throws ERR_KEYLESS_INVALID_ARGUMENT if the body would be longer than 65,535 bytes
 */
export function frameBytes(items: Items): number {
  const used = HEADER_BYTES + bytesOfItems(items);
  const total = used < PADDED_BYTES ? Math.max(PADDED_BYTES, used + ITEM_HEADER_BYTES) : used;
  if (total <= MAX_FRAME_BYTES) return total;
  throw new KeylessError(
    'ERR_KEYLESS_INVALID_ARGUMENT',
    `A frame carries at most ${MAX_BODY_BYTES} bytes, not ${total - HEADER_BYTES}.`,
  );
}

/**
 * Writes one whole frame, padded.
 *
 * @param target zeroed where the frame goes: its padding is left as it is
 * @param total what {@link frameBytes} said
 * @param id 0 to 2^32 − 1; a response carries the id of its request
 * @param items `padding` is ignored: the rule decides
 */
export function writeFrame(target: Buffer, start: number, total: number, id: number, items: Items): void {
  target[start] = 1;
  writeUint16(target, start + 2, total - HEADER_BYTES);
  writeUint16(target, start + 4, id >>> 16);
  writeUint16(target, start + 6, id & 0xffff);
  const end = writeItems(target, start + HEADER_BYTES, items);
  if (end === start + total) return;
  target[end] = Tag.PADDING;
  writeUint16(target, end + 1, start + total - end - ITEM_HEADER_BYTES);
}

/**
 * One whole frame, padded. Parameters and errors as those of {@link writeFrame} and {@link frameBytes}.
 */
export function encodeFrame(id: number, items: Items): Buffer {
  const total = frameBytes(items);
  // Zeroed: an unzeroed buffer would send what was in memory before.
  const frame = Buffer.alloc(total);
  writeFrame(frame, 0, total, id, items);
  return frame;
}

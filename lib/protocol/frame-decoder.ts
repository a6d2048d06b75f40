/**
 * Bytes to frames (docs/protocol.md, "Frame"), as they come: one by one or many frames at once.
 *
 * The reader asks for a frame when it can take one. What is held is never sized by a length that a peer claims: the
 * chunks that came, as they came, and one incomplete frame.
 */
import { KeylessError } from '../errors.ts';
import { HEADER_BYTES, MAX_FRAME_BYTES } from './frame-encoder.ts';
import { ITEM_NAMES, type Items, Tag } from './tags.ts';

/** A frame; its items are views of the bytes that came, but for the padding, which is left empty. */
export interface Frame {
  readonly id: number;
  readonly items: Items;
}

const NO_BYTES = Buffer.alloc(0);
const FIRST_ALLOCATION_BYTES = 1024;

/** The stream cannot be followed any further: close the connection. */
export function brokenFrame(what: string): KeylessError {
  return new KeylessError('ERR_KEYLESS_PROTOCOL', `Broken frame: ${what}.`);
}

/** Items of one byte, opcodes most of all, are the same everywhere: shared, and never written to. */
const ONE_BYTE: readonly Buffer[] = Array.from({ length: 256 }, (_, value) => Buffer.of(value));

function itemData(body: Buffer, start: number, end: number): Buffer {
  return end - start === 1 ? ONE_BYTE[body[start]!]! : body.subarray(start, end);
}

/**
 * The items of a frame's body.
 *
 * @throws ERR_KEYLESS_PROTOCOL if an item overruns the body or a known tag comes twice
 */
export function decodeItems(body: Buffer): Items {
  const items: Items = {
    opcode: undefined,
    payload: undefined,
    extraPayload: undefined,
    keyId: undefined,
    functionName: undefined,
  };
  let offset = 0;
  while (offset < body.length) {
    if (offset + 3 > body.length) throw brokenFrame('an item overruns the body');
    const tag = body[offset]!;
    const end = offset + 3 + (body[offset + 1]! << 8) + body[offset + 2]!;
    if (end > body.length) throw brokenFrame('an item overruns the body');
    const name = ITEM_NAMES[tag];
    if (name !== undefined) {
      if (items[name] !== undefined) throw brokenFrame(`a second item 0x${tag.toString(16)}`);
      items[name] = tag === Tag.PADDING ? NO_BYTES : itemData(body, offset + 3, end);
    }
    offset = end;
  }
  return items;
}

function decodeFrame(bytes: Buffer): Frame {
  return { id: bytes.readUInt32BE(4), items: decodeItems(bytes.subarray(HEADER_BYTES)) };
}

/** Cuts a stream of bytes into frames. Not to be used any more once {@link next} has thrown. */
export class FrameDecoder {
  #chunk: Buffer = NO_BYTES;
  /** Came after it. */
  #later: Buffer[] = [];
  #chunkBytes = 0;
  /** The beginning of a frame whose rest has not come; `#partialBytes` of it are filled. */
  #partial: Buffer = NO_BYTES;
  #partialBytes = 0;

  /**
   * Takes what came.
   *
   * @param chunk not to be changed before {@link next} has answered `undefined`; items that are held longer are views of it
   */
  push(chunk: Buffer): void {
    this.#chunkBytes += chunk.length;
    if (this.#chunk.length === 0) this.#chunk = chunk;
    else this.#later.push(chunk);
  }

  /** Bytes of frames not yet handed out. */
  get bufferedBytes(): number {
    return this.#chunkBytes + this.#partialBytes;
  }

  /** Those of them that have not been looked at: 0 once {@link next} has answered `undefined`. */
  get waitingBytes(): number {
    return this.#chunkBytes;
  }

  /** Bytes of memory held for an incomplete frame: at most twice what came, and at most one frame. */
  get allocatedBytes(): number {
    return this.#partial.length;
  }

  /**
   * @returns the next whole frame, `undefined` if it has not come yet
   * @throws ERR_KEYLESS_PROTOCOL if the frame is broken
   */
  next(): Frame | undefined {
    if (this.#partialBytes === 0) {
      const whole = this.#wholeFrame();
      if (whole !== undefined) return decodeFrame(whole);
    }
    return this.#completePartial();
  }

  /** The frame at the start of the chunk, without a copy. */
  #wholeFrame(): Buffer | undefined {
    const chunk = this.#chunk;
    if (chunk.length < HEADER_BYTES) return undefined;
    const bytes = HEADER_BYTES + chunk.readUInt16BE(2);
    if (chunk.length < bytes) return undefined;
    this.#skip(bytes);
    return chunk.subarray(0, bytes);
  }

  /** What was taken of the chunk; the next one takes the place of one that is used up. */
  #skip(bytes: number): void {
    this.#chunkBytes -= bytes;
    this.#chunk =
      this.#chunk.length > bytes ? this.#chunk.subarray(bytes) : (this.#later.shift() ?? NO_BYTES);
  }

  #completePartial(): Frame | undefined {
    this.#takeUpTo(HEADER_BYTES);
    if (this.#partialBytes < HEADER_BYTES) return undefined;
    const bytes = HEADER_BYTES + this.#partial.readUInt16BE(2);
    this.#takeUpTo(bytes);
    if (this.#partialBytes < bytes) return undefined;
    // The frame keeps this memory; the next one gets its own, so that items stay valid for as long as they are held.
    const frame = this.#partial.subarray(0, bytes);
    this.#partial = NO_BYTES;
    this.#partialBytes = 0;
    return decodeFrame(frame);
  }

  /** Moves bytes from the chunks until the incomplete frame has `bytes` of them. */
  #takeUpTo(bytes: number): void {
    while (this.#partialBytes < bytes && this.#chunk.length > 0) {
      const taken = Math.min(bytes - this.#partialBytes, this.#chunk.length);
      this.#reserve(this.#partialBytes + taken);
      this.#chunk.copy(this.#partial, this.#partialBytes, 0, taken);
      this.#partialBytes += taken;
      this.#skip(taken);
    }
  }

  #reserve(bytes: number): void {
    if (bytes <= this.#partial.length) return;
    const doubled = Math.max(FIRST_ALLOCATION_BYTES, bytes, this.#partial.length * 2);
    const grown = Buffer.allocUnsafe(Math.min(doubled, MAX_FRAME_BYTES));
    this.#partial.copy(grown, 0, 0, this.#partialBytes);
    this.#partial = grown;
  }
}

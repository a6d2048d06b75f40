/**
 * Bytes to frames (docs/protocol.md, "Frame"), as they come: one by one or many frames at once.
 *
 * The reader asks for a frame when it can take one. What is held is never sized by a length that a peer claims: the
 * chunks that came, small ones put together, and one incomplete frame.
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
/** A chunk costs about so much beside its bytes. */
const CHUNK_COST_BYTES = 256;
/** Chunks below this that wait are put together: a peer chooses how small they are. */
const SMALL_CHUNK_BYTES = 1024;
const JOINT_BYTES = 4096;

/** The stream cannot be followed any further: close the connection. */
export function brokenFrame(what: string): KeylessError {
  return new KeylessError('ERR_KEYLESS_PROTOCOL', `Broken frame: ${what}.`);
}

/** Items of one byte, opcodes most of all, are the same everywhere: shared, and never written to. */
const ONE_BYTE: readonly Buffer[] = Array.from({ length: 256 }, (_, value) => Buffer.of(value));

function itemData(bytes: Buffer, start: number, end: number): Buffer {
  return end - start === 1 ? ONE_BYTE[bytes[start]!]! : bytes.subarray(start, end);
}

/**
 * The items of a frame's body.
 *
 * @param bytes that have it from `start` up to `bodyEnd`
 * @throws ERR_KEYLESS_PROTOCOL if an item overruns the body or a known tag comes twice
 */
export function decodeItems(bytes: Buffer, start = 0, bodyEnd = bytes.length): Items {
  const items: Items = {
    opcode: undefined,
    payload: undefined,
    extraPayload: undefined,
    keyId: undefined,
    functionName: undefined,
  };
  let offset = start;
  while (offset < bodyEnd) {
    if (offset + 3 > bodyEnd) throw brokenFrame('an item overruns the body');
    const tag = bytes[offset]!;
    const end = offset + 3 + (bytes[offset + 1]! << 8) + bytes[offset + 2]!;
    if (end > bodyEnd) throw brokenFrame('an item overruns the body');
    const name = ITEM_NAMES[tag];
    if (name !== undefined) {
      if (items[name] !== undefined) throw brokenFrame(`a second item 0x${tag.toString(16)}`);
      items[name] = tag === Tag.PADDING ? NO_BYTES : itemData(bytes, offset + 3, end);
    }
    offset = end;
  }
  return items;
}

/** @param start of the frame, @param end after it */
function decodeFrame(bytes: Buffer, start: number, end: number): Frame {
  return { id: bytes.readUInt32BE(start + 4), items: decodeItems(bytes, start + HEADER_BYTES, end) };
}

/** Cuts a stream of bytes into frames. Not to be used any more once {@link next} has thrown. */
export class FrameDecoder {
  #chunk: Buffer = NO_BYTES;
  /** What of it was taken. */
  #taken = 0;
  /** Came after it. */
  #later: Buffer[] = [];
  /** Small chunks that came after those, side by side; `#jointBytes` of it are filled. */
  #joint: Buffer = NO_BYTES;
  #jointBytes = 0;
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
    else if (chunk.length < SMALL_CHUNK_BYTES) this.#join(chunk);
    else {
      this.#closeJoint();
      this.#later.push(chunk);
    }
  }

  /** Bytes of frames not yet handed out. */
  get bufferedBytes(): number {
    return this.#chunkBytes + this.#partialBytes;
  }

  /** Those of them that have not been looked at: 0 once {@link next} has answered `undefined`. */
  get waitingBytes(): number {
    return this.#chunkBytes;
  }

  /**
   * Bytes of memory held beside {@link waitingBytes}: for an incomplete frame, at most twice what came, and at most one
   * frame; for the chunks that wait, what they cost however small they are.
   */
  get allocatedBytes(): number {
    const chunks = this.#later.length + (this.#chunk.length > 0 ? 1 : 0);
    return this.#partial.length + CHUNK_COST_BYTES * chunks + this.#joint.length - this.#jointBytes;
  }

  /**
   * @returns the next whole frame, `undefined` if it has not come yet
   * @throws ERR_KEYLESS_PROTOCOL if the frame is broken
   */
  next(): Frame | undefined {
    const whole = this.#partialBytes === 0 ? this.#wholeFrame() : undefined;
    return whole ?? this.#completePartial();
  }

  /** The frame that the rest of the chunk begins with, without a copy. */
  #wholeFrame(): Frame | undefined {
    const [chunk, start] = [this.#chunk, this.#taken];
    if (chunk.length - start < HEADER_BYTES) return undefined;
    const bytes = HEADER_BYTES + chunk.readUInt16BE(start + 2);
    if (chunk.length - start < bytes) return undefined;
    this.#skip(bytes);
    return decodeFrame(chunk, start, start + bytes);
  }

  /** What was taken of the chunk; the next one takes the place of one that is used up. */
  #skip(bytes: number): void {
    this.#chunkBytes -= bytes;
    this.#taken += bytes;
    if (this.#taken < this.#chunk.length) return;
    if (this.#later.length === 0) this.#closeJoint();
    this.#chunk = this.#later.shift() ?? NO_BYTES;
    this.#taken = 0;
  }

  #join(chunk: Buffer): void {
    if (this.#jointBytes + chunk.length > this.#joint.length) {
      this.#closeJoint();
      this.#joint = Buffer.allocUnsafeSlow(JOINT_BYTES);
    }
    chunk.copy(this.#joint, this.#jointBytes);
    this.#jointBytes += chunk.length;
  }

  /** What is in it is a chunk like others, and nothing comes to it any more. */
  #closeJoint(): void {
    if (this.#jointBytes > 0) this.#later.push(this.#joint.subarray(0, this.#jointBytes));
    this.#joint = NO_BYTES;
    this.#jointBytes = 0;
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
    return decodeFrame(frame, 0, bytes);
  }

  /** Moves bytes from the chunks until the incomplete frame has `bytes` of them. */
  #takeUpTo(bytes: number): void {
    while (this.#partialBytes < bytes && this.#chunk.length > 0) {
      const taken = Math.min(bytes - this.#partialBytes, this.#chunk.length - this.#taken);
      this.#reserve(this.#partialBytes + taken);
      this.#chunk.copy(this.#partial, this.#partialBytes, this.#taken, this.#taken + taken);
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

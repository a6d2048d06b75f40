/**
 * Fuzz target (jazzer.js): any bytes from a peer, cut anywhere. Nothing but a refusal comes of them, what is held is
 * bounded by what came, and cuts change nothing.
 */
import { KeylessError } from '../../lib/errors.ts';
import { decodeAnswer } from '../../lib/protocol/answers.ts';
import { decodeCapabilities } from '../../lib/protocol/capabilities.ts';
import { type Frame, FrameDecoder } from '../../lib/protocol/frame-decoder.ts';
import { MAX_FRAME_BYTES } from '../../lib/protocol/frame-encoder.ts';
import { handshakeContext } from '../../lib/protocol/handshake-message.ts';
import { decodeRequest } from '../../lib/protocol/request-decoder.ts';
import type { ItemName } from '../../lib/protocol/tags.ts';

interface Decoded {
  readonly frames: readonly Frame[];
  readonly broken: boolean;
}

function check(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}

/** Nothing but an error of ours may be thrown. @returns whether it was */
function refuses(work: () => void): boolean {
  try {
    work();
    return false;
  } catch (error) {
    if (error instanceof KeylessError) return true;
    throw error;
  }
}

function decodeAll(chunks: readonly Buffer[]): Decoded {
  const decoder = new FrameDecoder();
  const frames: Frame[] = [];
  let came = 0;
  const broken = refuses(() => {
    for (const chunk of chunks) {
      came += chunk.length;
      decoder.push(chunk);
      for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) frames.push(frame);
      check(
        decoder.allocatedBytes <= Math.min(MAX_FRAME_BYTES, Math.max(1024, 2 * came)),
        'too much is held',
      );
    }
  });
  return { frames, broken };
}

function lookAt({ items }: Frame): void {
  decodeAnswer(items);
  const request = decodeRequest(items);
  if (typeof request !== 'number' && request.kind === 'sign' && request.message !== undefined) {
    handshakeContext(request.message);
  }
  const { payload } = items;
  if (payload !== undefined) refuses(() => void decodeCapabilities(payload));
}

function isSameFrame(a: Frame, b: Frame): boolean {
  const names = Object.keys(a.items) as ItemName[];
  if (a.id !== b.id || names.length !== Object.keys(b.items).length) return false;
  return names.every((name) => {
    const [one, other] = [a.items[name], b.items[name]];
    return one === undefined || other === undefined ? one === other : Buffer.compare(one, other) === 0;
  });
}

function isSame(a: Decoded, b: Decoded): boolean {
  if (a.broken !== b.broken || a.frames.length !== b.frames.length) return false;
  return a.frames.every((frame, at) => isSameFrame(frame, b.frames[at]!));
}

function cutAt(data: Buffer, size: number): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0; at < data.length; at += size) chunks.push(data.subarray(at, at + size));
  return chunks;
}

/** @param data the first byte says how long the pieces are, the rest is the stream */
export function fuzz(data: Buffer): void {
  const stream = data.subarray(1);
  const whole = decodeAll([stream]);
  for (const frame of whole.frames) lookAt(frame);
  const cut = decodeAll(cutAt(stream, (data[0] ?? 0) + 1));
  check(isSame(whole, cut), 'cuts change what is decoded');
}

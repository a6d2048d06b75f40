/** What a key server answers (docs/protocol.md, "Answers"), to bytes and back. */
import { encodeFrame } from './frame-encoder.ts';
import { Opcode, type WireErrorCode } from './opcodes.ts';
import type { Items } from './tags.ts';

const RESPONSE = Uint8Array.of(Opcode.RESPONSE);
const PONG = Uint8Array.of(Opcode.PONG);
const ERROR = Uint8Array.of(Opcode.ERROR);

/** @param payload at most 65,529 bytes */
export function resultItems(payload: Uint8Array): Items {
  return { opcode: RESPONSE, payload };
}

/** @param payload that of the ping; `undefined`: it had none */
export function pongItems(payload: Uint8Array | undefined): Items {
  return { opcode: PONG, payload };
}

export function errorItems(code: WireErrorCode): Items {
  return { opcode: ERROR, payload: Uint8Array.of(code) };
}

/** {@link resultItems} as a frame of its own. */
export function encodeResult(id: number, payload: Uint8Array): Buffer {
  return encodeFrame(id, resultItems(payload));
}

/** {@link pongItems} as a frame of its own. */
export function encodePong(id: number, payload: Uint8Array | undefined): Buffer {
  return encodeFrame(id, pongItems(payload));
}

/** {@link errorItems} as a frame of its own. */
export function encodeError(id: number, code: WireErrorCode): Buffer {
  return encodeFrame(id, errorItems(code));
}

/** The id of a goodbye: nobody asked for it. */
export const GOODBYE_ID = 0xffffffff;
const GOODBYE = Buffer.from('goodbye', 'ascii');

/** The key server will end this connection (docs/protocol.md, "Goodbye"). */
export function goodbyeItems(): Items {
  return pongItems(GOODBYE);
}

/** {@link goodbyeItems} as a frame of its own. */
export function encodeGoodbye(): Buffer {
  return encodeFrame(GOODBYE_ID, goodbyeItems());
}

/** Edges do not ping with such a payload: it is no answer to anything. */
export function isGoodbye(id: number, answer: Answer): boolean {
  return (
    id === GOODBYE_ID &&
    answer.kind === 'pong' &&
    answer.payload?.length === GOODBYE.length &&
    GOODBYE.equals(answer.payload)
  );
}

export type Answer =
  | { readonly kind: 'result'; readonly payload: Uint8Array }
  | { readonly kind: 'pong'; readonly payload: Uint8Array | undefined }
  | { readonly kind: 'error'; readonly code: number };

/** @returns `undefined` if the items are no answer */
export function decodeAnswer({ opcode, payload }: Items): Answer | undefined {
  if (opcode?.length !== 1) return undefined;
  if (opcode[0] === Opcode.PONG) return { kind: 'pong', payload };
  if (payload === undefined) return undefined;
  if (opcode[0] === Opcode.RESPONSE) return { kind: 'result', payload };
  if (opcode[0] === Opcode.ERROR && payload.length === 1) return { kind: 'error', code: payload[0]! };
  return undefined;
}

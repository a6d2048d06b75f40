/**
 * A user's pskCallback, asked where a job has paused for it (native/psk_decision.h), in the way in which the native half of
 * Node's TLSWrap asks it (src/crypto/crypto_tls.cc, PskServerCallback and PskClientCallback).
 */
import type { TlsHandle } from './tls-handle.ts';

/** Node's wrapper of the user's pskCallback, which checks what that returns. Its key is a symbol of Node's. */
type Exchange = (
  this: TlsHandle,
  told: string | null,
  maxPskBytes: number,
  maxIdentityBytes?: number,
) => unknown;

/** What a job wants to know; `told` is a client's identity or a server's hint, `maxIdentityBytes` 0 where a server asks. */
export type PskQuestion = readonly [told: Buffer | undefined, maxPskBytes: number, maxIdentityBytes: number];

export interface PskAnswer {
  /** Of a client. */
  readonly identity: string;
  /** Empty: there is none. */
  readonly psk: Uint8Array;
}

const NONE: PskAnswer = { identity: '', psk: new Uint8Array() };

function exchangeOf(handle: TlsHandle): Exchange | undefined {
  const symbols = Object.getOwnPropertySymbols(handle);
  const name = symbols.find(({ description }) => description === 'onpskexchange');
  return name && (handle as unknown as Record<symbol, Exchange>)[name];
}

function bytesOf(value: unknown): Uint8Array {
  // Of a buffer that was handed on to another thread nothing is left, and no view can be made.
  if (!ArrayBuffer.isView(value) || value.byteLength === 0) return NONE.psk;
  return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
}

function askServer(handle: TlsHandle, exchange: Exchange, identity: Buffer, maxPskBytes: number): PskAnswer {
  const text = identity.toString();
  // What is not UTF-8 would be somebody else's name.
  if (!Buffer.from(text).equals(identity)) return NONE;
  return { identity: '', psk: bytesOf(exchange.call(handle, text, maxPskBytes)) };
}

/** @throws what the user's callback throws, and what Node throws of its result */
export function askForPsk(handle: TlsHandle, [told, maxPskBytes, maxIdentityBytes]: PskQuestion): PskAnswer {
  const exchange = exchangeOf(handle);
  if (exchange === undefined) return NONE;
  if (maxIdentityBytes === 0) return askServer(handle, exchange, told ?? Buffer.alloc(0), maxPskBytes);
  const answer = exchange.call(handle, told?.toString() ?? null, maxPskBytes, maxIdentityBytes);
  if (typeof answer !== 'object' || answer === null) return NONE;
  const { identity, psk } = answer as { identity?: unknown; psk?: unknown };
  return typeof identity === 'string' ? { identity, psk: bytesOf(psk) } : NONE;
}

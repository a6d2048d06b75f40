/** The answer to the custom function `ticket-keys` (docs/protocol.md), to bytes and back. */
import { KeylessError } from '../errors.ts';

/** Name, HMAC key, AES key, 16 bytes each: what `server.setTicketKeys` of Node takes. */
export const TICKET_KEY_BYTES = 48;

/** Ticket keys of a group of edges, and for how long. Secret. */
export interface TicketKeySet {
  /** Milliseconds of an epoch, 1 to 4,294,967,295; the keys may be used for so long. */
  readonly periodMs: number;
  /** Milliseconds until the current epoch ends, 1 to `periodMs`: no clocks need to agree. */
  readonly remainingMs: number;
  /** Number of the current epoch, 2 to 2^53 − 2: those of all four keys are numbers of epochs. */
  readonly epoch: number;
  /** Of the next epoch, the current, the previous, and the one before: 48 bytes each. */
  readonly keys: readonly [next: Buffer, current: Buffer, previous: Buffer, oldest: Buffer];
}

const HEADER_BYTES = 16;
/** The first one with two before it. */
const FIRST_EPOCH = 2;
const BYTES = HEADER_BYTES + 4 * TICKET_KEY_BYTES;

/** @returns 208 bytes */
export function encodeTicketKeys({ periodMs, remainingMs, epoch, keys }: TicketKeySet): Buffer {
  const bytes = Buffer.alloc(BYTES);
  bytes.writeUInt32BE(periodMs, 0);
  bytes.writeUInt32BE(remainingMs, 4);
  bytes.writeBigUInt64BE(BigInt(epoch), 8);
  keys.forEach((key, index) => {
    key.copy(bytes, HEADER_BYTES + index * TICKET_KEY_BYTES);
  });
  return bytes;
}

/**
 * The keys are copies: whoever has no more use for the payload may wipe it.
 *
 * @throws ERR_KEYLESS_PROTOCOL for anything else than such an answer
 */
export function decodeTicketKeys(payload: Uint8Array): TicketKeySet {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.length);
  if (bytes.length !== BYTES) throw malformed(`it has ${bytes.length} bytes, not ${BYTES}`);
  const periodMs = bytes.readUInt32BE(0);
  const remainingMs = bytes.readUInt32BE(4);
  const epoch = Number(bytes.readBigUInt64BE(8));
  if (remainingMs < 1 || remainingMs > periodMs) throw malformed('its times make no sense');
  if (epoch < FIRST_EPOCH || epoch >= Number.MAX_SAFE_INTEGER) throw malformed('its epoch is out of range');
  const key = (index: number) => {
    const start = HEADER_BYTES + index * TICKET_KEY_BYTES;
    return Buffer.from(bytes.subarray(start, start + TICKET_KEY_BYTES));
  };
  return { periodMs, remainingMs, epoch, keys: [key(0), key(1), key(2), key(3)] };
}

function malformed(why: string): KeylessError {
  return new KeylessError(
    'ERR_KEYLESS_PROTOCOL',
    `The key server's answer to "ticket-keys" is none: ${why}.`,
  );
}

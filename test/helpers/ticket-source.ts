/** Ticket keys as a key server gives them, with a clock that the test moves. */
import { encodeTicketKeys } from '../../lib/protocol/ticket-keys.ts';

/** The key of an epoch; its first 16 bytes, the name, are all the same and found in the tickets it has made. */
export function ticketKey(epoch: number): Buffer {
  return Buffer.alloc(48, 0x40 + epoch);
}

/** Whether a client's session holds a ticket that was issued under the key of the epoch. */
export function isIssuedIn(epoch: number, session: Buffer): boolean {
  return session.includes(ticketKey(epoch).subarray(0, 16));
}

export class TicketSource {
  periodMs = 1000;
  remainingMs = 400;
  epoch = 10;
  asked = 0;
  /** What it answers with instead of keys. */
  error: Error | undefined;
  /** The last answer, which is not to be kept. */
  payload: Buffer | undefined;

  ticketKeys(): Promise<Uint8Array> {
    this.asked += 1;
    if (this.error !== undefined) return Promise.reject(this.error);
    const { periodMs, remainingMs, epoch } = this;
    const keys = [1, 0, -1, -2].map((offset) => ticketKey(epoch + offset)) as [
      Buffer,
      Buffer,
      Buffer,
      Buffer,
    ];
    this.payload = encodeTicketKeys({ periodMs, remainingMs, epoch, keys });
    return Promise.resolve(this.payload);
  }
}

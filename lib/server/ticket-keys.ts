/**
 * Session-ticket keys for groups of edges, derived from one secret that stays here (HKDF-SHA256, RFC 5869; the inputs are
 * specified in docs/protocol.md, "ticket-keys").
 *
 * Nothing is stored: every key server with the same secret, period and revocations gives the same keys.
 */
import { isUint8Array } from 'node:util/types';
import { expand, extract } from '@noble/hashes/hkdf.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { KeylessError } from '../errors.ts';
import { encodeTicketKeys, TICKET_KEY_BYTES } from '../protocol/ticket-keys.ts';

export interface TicketKeyOptions {
  /** At least 32 bytes, the same on every key server of a fleet. */
  readonly secret: Uint8Array;
  /** Milliseconds of an epoch, 1,000 to 604,800,000 (7 days, the longest life of a ticket, RFC 8446 §4.6.1); default 3,600,000. */
  readonly periodMs?: number | undefined;
  /** For tests: milliseconds since 1970. The wall clock, because key servers that share nothing else share it. */
  readonly now?: (() => number) | undefined;
}

/** Whose keys: edges of one group have the same. */
export interface TicketGroup {
  readonly name: string;
  /** 32 bytes that change with every revocation that concerns the group: what a revoked edge knew opens nothing new. */
  readonly generation: Uint8Array;
}

export const MIN_TICKET_SECRET_BYTES = 32;
const DEFAULT_PERIOD_MS = 3_600_000;
const MIN_PERIOD_MS = 1000;
const MAX_PERIOD_MS = 604_800_000;
const SALT = Buffer.from('keyless-tls/1 ticket-keys', 'ascii');
/** Shorter than the input of any key, so that it is none. */
const ID_INFO = Buffer.from('id', 'ascii');
const ID_BYTES = 8;

function periodOf({ periodMs = DEFAULT_PERIOD_MS }: TicketKeyOptions): number {
  if (Number.isInteger(periodMs) && periodMs >= MIN_PERIOD_MS && periodMs <= MAX_PERIOD_MS) return periodMs;
  throw new KeylessError(
    'ERR_KEYLESS_INVALID_ARGUMENT',
    `The period of ticket keys must be whole milliseconds from ${MIN_PERIOD_MS} to ${MAX_PERIOD_MS}, not ${String(periodMs)}.`,
  );
}

function secretOf({ secret }: TicketKeyOptions): Uint8Array {
  if (isUint8Array(secret) && secret.length >= MIN_TICKET_SECRET_BYTES) return secret;
  throw new KeylessError(
    'ERR_KEYLESS_INVALID_ARGUMENT',
    `The secret of ticket keys must be at least ${MIN_TICKET_SECRET_BYTES} bytes.`,
  );
}

function infoOf(periodMs: number, epoch: number, { name, generation }: TicketGroup): Buffer {
  const numbers = Buffer.alloc(12);
  numbers.writeUInt32BE(periodMs, 0);
  numbers.writeBigUInt64BE(BigInt(epoch), 4);
  return Buffer.concat([numbers, generation, Buffer.from(name, 'utf8')]);
}

/** Of the next epoch, this one, and the two before. */
type Keys = Parameters<typeof encodeTicketKeys>[0]['keys'];

/** Until its epoch ends, whoever asks gets the same: deriving it takes as long as three signatures. */
interface Derived {
  readonly epoch: number;
  readonly keys: Keys;
}

export class TicketKeys {
  readonly periodMs: number;
  /** 16 hexadecimal digits that tell secrets apart and nothing about them: to be compared between key servers. */
  readonly id: string;
  readonly #key: Uint8Array;
  readonly #now: () => number;
  readonly #derived = new WeakMap<TicketGroup, Derived>();

  /** @throws ERR_KEYLESS_INVALID_ARGUMENT */
  constructor(options: TicketKeyOptions) {
    this.periodMs = periodOf(options);
    this.#now = options.now ?? Date.now;
    this.#key = extract(sha256, secretOf(options), SALT);
    this.id = Buffer.from(expand(sha256, this.#key, ID_INFO, ID_BYTES)).toString('hex');
  }

  /** @returns the payload of the answer for an edge of the group, now */
  answer(group: TicketGroup): Buffer {
    const now = Math.floor(this.#now());
    const epoch = Math.floor(now / this.periodMs);
    const remainingMs = this.periodMs - (now % this.periodMs);
    return encodeTicketKeys({
      periodMs: this.periodMs,
      remainingMs,
      epoch,
      keys: this.#keysOf(epoch, group),
    });
  }

  #keysOf(epoch: number, group: TicketGroup): Keys {
    const known = this.#derived.get(group);
    if (known?.epoch === epoch) return known.keys;
    const key = (offset: number) => this.#derive(epoch + offset, group);
    const keys: Keys = [key(1), key(0), key(-1), key(-2)];
    this.#derived.set(group, { epoch, keys });
    return keys;
  }

  #derive(epoch: number, group: TicketGroup): Buffer {
    return Buffer.from(expand(sha256, this.#key, infoOf(this.periodMs, epoch, group), TICKET_KEY_BYTES));
  }
}

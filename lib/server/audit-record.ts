/**
 * One line of the audit log: `<SHA-256, 64 hexadecimal digits> <JSON>\n`, where the digest is of the digest before it
 * (32 bytes) and the JSON's bytes. Whoever changes, removes or inserts a line breaks the chain after it; the head, noted
 * elsewhere from time to time, shows that the tail was not cut.
 */
import { createHash } from 'node:crypto';
import { chainLines } from '../engine/audit-chain.ts';

export const DIGEST_BYTES = 32;
/** What the first line of a log builds on. */
export const GENESIS: Buffer = Buffer.alloc(DIGEST_BYTES);
const HEX_DIGITS = 2 * DIGEST_BYTES;

/** What every record has; the rest is its own. */
export interface AuditBody {
  /** From 1, without a gap, over all files. */
  readonly seq: number;
  /** ISO 8601. */
  readonly time: string;
  readonly event: string;
  readonly [field: string]: string | number | undefined;
}

export function chain(previous: Uint8Array, json: string): Buffer {
  return createHash('sha256').update(previous).update(json).digest();
}

/** JSON in ASCII: whatever splits a text into lines, there is one record in each. */
export function asciiJson(value: unknown): string {
  const escapeUnit = (unit: string) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return JSON.stringify(value).replace(/[^ -~]/g, escapeUnit);
}

/** Where a line's digest and the space after it will be. */
const ROOM = ' '.repeat(HEX_DIGITS + 1);
const FIRST_BYTES = 65_536;
const FIRST_LINES = 256;

/** Twice as much, or what is needed. */
const grown = (length: number, needed: number) => Math.max(needed, 2 * length);

/** Lines that are to be written, each built on the one before it; their digests are made when all are taken, in one go. */
export class AuditLines {
  #text = '';
  #count = 0;
  /** Where each of them is over. */
  #ends = new Uint32Array(FIRST_LINES);
  #bytes = Buffer.allocUnsafe(FIRST_BYTES);
  /** Not shared with other Buffers: the addon writes to it. */
  readonly #head = Buffer.alloc(DIGEST_BYTES);

  /** @param head digest of the last line that there is */
  constructor(head: Buffer) {
    head.copy(this.#head);
  }

  /** The digest of the last line that was taken, hexadecimal. */
  get head(): string {
    return this.#head.toString('hex');
  }

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  /** @param json see {@link asciiJson} */
  add(json: string): void {
    if (this.#count === this.#ends.length) {
      const ends = new Uint32Array(grown(this.#count, 0));
      ends.set(this.#ends);
      this.#ends = ends;
    }
    this.#text += `${ROOM}${json}\n`;
    this.#ends[this.#count] = this.#text.length;
    this.#count += 1;
  }

  /** @returns all of them, to be used before the next is taken. @throws ERR_KEYLESS_AUDIT where OpenSSL has no memory */
  take(): Buffer {
    const [text, count] = [this.#text, this.#count];
    if (text.length > this.#bytes.length)
      this.#bytes = Buffer.allocUnsafe(grown(this.#bytes.length, text.length));
    const lines = this.#bytes.subarray(0, this.#bytes.write(text, 'latin1'));
    this.#text = '';
    this.#count = 0;
    chainLines(lines, this.#ends, count, this.#head);
    return lines;
  }
}

export interface AuditLine {
  readonly digest: Buffer;
  readonly json: string;
  readonly body: AuditBody;
}

function isBody(value: unknown): value is AuditBody {
  const { seq, time, event } = (value ?? {}) as Partial<AuditBody>;
  return Number.isSafeInteger(seq) && typeof time === 'string' && typeof event === 'string';
}

/** @param line without its newline; @returns `undefined`: it is not a line of an audit log */
export function parseLine(line: string): AuditLine | undefined {
  if (!/^[0-9a-f]{64} \{/.test(line)) return undefined;
  const json = line.slice(HEX_DIGITS + 1);
  try {
    const body: unknown = JSON.parse(json);
    return isBody(body) ? { digest: Buffer.from(line.slice(0, HEX_DIGITS), 'hex'), json, body } : undefined;
  } catch {
    return undefined;
  }
}

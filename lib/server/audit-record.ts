/**
 * One line of the audit log: `<SHA-256, 64 hexadecimal digits> <JSON>\n`, where the digest is of the digest before it
 * (32 bytes) and the JSON's bytes. Whoever changes, removes or inserts a line breaks the chain after it; the head, noted
 * elsewhere from time to time, shows that the tail was not cut.
 */
import { createHash, hash } from 'node:crypto';

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

const FIRST_BYTES = 65_536;
/** Of a line, before and after its JSON. */
const OTHER_BYTES = HEX_DIGITS + 2;
const SPACE = 0x20;
const NEWLINE = 0x0a;

/** Lines that are to be written, each built on the one before it, in one piece of memory. */
export class AuditLines {
  #bytes = Buffer.allocUnsafe(FIRST_BYTES);
  #end = 0;
  #head: Buffer;

  /** @param head digest of the last line that there is */
  constructor(head: Buffer) {
    this.#head = head;
  }

  /** The digest of the last line. */
  get head(): Buffer {
    return this.#head;
  }

  get isEmpty(): boolean {
    return this.#end === 0;
  }

  /** @param json see {@link asciiJson}. As {@link chain}, but where the line will be: the digest before it stands where its own will, while it is made. */
  add(json: string): void {
    this.#reserve(json.length + OTHER_BYTES);
    const [bytes, start] = [this.#bytes, this.#end];
    const jsonStart = start + HEX_DIGITS + 1;
    const jsonEnd = jsonStart + bytes.write(json, jsonStart, 'latin1');
    const hashed = jsonStart - DIGEST_BYTES;
    this.#head.copy(bytes, hashed);
    this.#head = hash('sha256', bytes.subarray(hashed, jsonEnd), 'buffer');
    bytes.write(this.#head.toString('hex'), start, 'latin1');
    bytes[jsonStart - 1] = SPACE;
    bytes[jsonEnd] = NEWLINE;
    this.#end = jsonEnd + 1;
  }

  /** @returns all of them, to be used before the next is added */
  take(): Buffer {
    const lines = this.#bytes.subarray(0, this.#end);
    this.#end = 0;
    return lines;
  }

  #reserve(bytes: number): void {
    const needed = this.#end + bytes;
    if (needed <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafe(Math.max(needed, 2 * this.#bytes.length));
    this.#bytes.copy(grown, 0, 0, this.#end);
    this.#bytes = grown;
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

/**
 * One line of the audit log: `<SHA-256, 64 hexadecimal digits> <JSON>\n`, where the digest is of the digest before it
 * (32 bytes) and the JSON's bytes. Whoever changes, removes or inserts a line breaks the chain after it; the head, noted
 * elsewhere from time to time, shows that the tail was not cut.
 */
import { createHash } from 'node:crypto';

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

export function encodeLine(digest: Uint8Array, json: string): string {
  return `${Buffer.from(digest).toString('hex')} ${json}\n`;
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

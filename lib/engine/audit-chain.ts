/** The digests of the audit log's lines, made by the addon: by node:crypto each costs as much as the rest of its record. */
import { KeylessError } from '../errors.ts';
import { addon } from './addon.ts';

/**
 * @param lines each with room for its digest and a space before its JSON, and a line feed after it
 * @param ends where each of them is over
 * @param count of the lines
 * @param head the digest that the first one builds on; it becomes that of the last one
 * @throws ERR_KEYLESS_AUDIT where OpenSSL has no memory
 */
export function chainLines(lines: Uint8Array, ends: Uint32Array, count: number, head: Uint8Array): void {
  if (addon().chainLines(lines, ends, count, head)) return;
  throw new KeylessError('ERR_KEYLESS_AUDIT', 'The records of the audit log cannot be chained.');
}

/** Goes through an audit log and finds the first record that is not what was written. */
import { createReadStream, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { KeylessError } from '../errors.ts';
import { auditFiles } from './audit-files.ts';
import { chain, GENESIS, parseLine } from './audit-record.ts';

export interface AuditVerdict {
  readonly records: number;
  /** Number of the first record there is: above 1 where older files were taken away. */
  readonly firstSeq: number;
  readonly lastSeq: number;
  /** The digest of the last record, hexadecimal: to be compared with what was noted elsewhere. */
  readonly head: string;
  /** Whether the digest that was looked for is one of the log's, or that of the record before its first. */
  readonly hasHead: boolean;
  /** Connections that were refused and have no record of their own, only a sum. */
  readonly refusedMore: number;
  /** Connections that were taken, likewise. */
  readonly connectedMore: number;
  /** Bytes of a line at the end that is not whole: a crash cut it off, or it is being written. It answers for nothing. */
  readonly tornBytes: number;
  /** Lines that were cut off so and taken away at the next start. */
  readonly tornBefore: number;
  /** The first bad record; `undefined`: there is none. */
  readonly bad: { readonly file: string; readonly line: number; readonly reason: string } | undefined;
}

/** Where a verification stands. */
class Verification {
  records = 0;
  firstSeq = 0;
  seq = 0;
  head: Buffer = GENESIS;
  hasHead = false;
  refusedMore = 0;
  connectedMore = 0;
  tornBefore = 0;
  readonly #noted: string | undefined;

  constructor(noted: string | undefined) {
    this.#noted = noted;
  }

  /** @returns what is wrong with the line; `undefined`: nothing */
  take(text: string): string | undefined {
    const line = parseLine(text);
    if (line === undefined) return 'it is not a record';
    const { seq, event, previous, connections, tornBytes } = line.body;
    if (this.records === 0) this.#begin(seq, event === 'continued' ? String(previous) : undefined);
    if (seq !== this.seq + 1) return `it has the number ${seq}, after ${this.seq}`;
    if (event === 'continued' && previous !== this.head.toString('hex')) return 'it continues another file';
    if (!chain(this.head, line.json).equals(line.digest))
      return 'its digest does not fit: it, or what was before it, was changed';
    this.head = line.digest;
    if (line.digest.toString('hex') === this.#noted) this.hasHead = true;
    if (event === 'refused-more' && typeof connections === 'number') this.refusedMore += connections;
    if (event === 'connected-more' && typeof connections === 'number') this.connectedMore += connections;
    if (event === 'opened' && tornBytes !== undefined) this.tornBefore += 1;
    this.seq = seq;
    this.records += 1;
    return undefined;
  }

  /** Older files may have been taken away: the first one left says what it builds on. */
  #begin(seq: number, previous: string | undefined): void {
    this.firstSeq = seq;
    if (previous === undefined || !/^[0-9a-f]{64}$/.test(previous)) return;
    this.head = Buffer.from(previous, 'hex');
    if (previous === this.#noted) this.hasHead = true;
    this.seq = seq - 1;
  }
}

/** More than any record has. */
const MAX_LINE_BYTES = 65_536;

/** Where one look at a log ends: whoever writes it goes on. */
interface End {
  readonly file: string;
  /** Of whole lines. */
  readonly bytes: number;
  readonly tornBytes: number;
}

/**
 * After the last line end there is what a crash may have left, or what is being written: of a record, and no more than one. A record with
 * something else than its line end is none.
 */
async function endOf(path: string): Promise<End> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    const end = Buffer.alloc(Math.min(size, MAX_LINE_BYTES));
    await file.read(end, 0, end.length, size - end.length);
    const torn = end.subarray(end.lastIndexOf(0x0a) + 1);
    const tornBytes = parseLine(torn.subarray(0, -1).toString('utf8')) === undefined ? torn.length : 0;
    return { file: path, bytes: size - tornBytes, tornBytes };
  } finally {
    await file.close();
  }
}

/** At line feeds and nowhere else: another line end is not what was written. Where the last has none, there is an `undefined` behind it. */
async function* linesOf(file: string, bytes: number): AsyncIterable<string | undefined> {
  let rest = '';
  for await (const text of createReadStream(file, { end: bytes - 1, encoding: 'latin1' })) {
    const lines = `${rest}${text as string}`.split('\n');
    rest = lines.pop()!;
    yield* lines;
    if (rest.length > MAX_LINE_BYTES) break;
  }
  if (rest !== '') yield* [rest, undefined];
}

/** A file that another one follows is whole. */
async function firstBadLine(file: string, end: End, verification: Verification) {
  const isLast = file === end.file;
  const bytes = isLast ? end.bytes : statSync(file).size;
  if (bytes === 0) return isLast ? undefined : { file, line: 1, reason: 'its records are missing' };
  let line = 0;
  for await (const text of linesOf(file, bytes)) {
    if (text !== undefined) line += 1;
    const reason = text === undefined ? 'its line end is missing' : verification.take(text);
    if (reason !== undefined) return { file, line, reason };
  }
  return undefined;
}

/**
 * @param directory of the log
 * @param noted a digest to look for, 64 hexadecimal digits
 * @throws ERR_KEYLESS_AUDIT if there is no log
 */
export async function verifyAudit(directory: string, noted?: string): Promise<AuditVerdict> {
  const files = auditFiles(directory);
  if (files.length === 0)
    throw new KeylessError('ERR_KEYLESS_AUDIT', `There is no audit log in ${directory}.`);
  const verification = new Verification(noted);
  const end = await endOf(files.at(-1)!);
  let bad: AuditVerdict['bad'];
  for (const file of files) {
    bad = await firstBadLine(file, end, verification);
    if (bad !== undefined) break;
  }
  const { seq: lastSeq, head, records, firstSeq, hasHead } = verification;
  const { refusedMore, connectedMore, tornBefore } = verification;
  const found = { records, firstSeq, lastSeq, head: head.toString('hex'), hasHead };
  return { ...found, refusedMore, connectedMore, tornBytes: end.tornBytes, tornBefore, bad };
}

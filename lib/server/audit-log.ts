/**
 * The audit log: append-only, hash-chained, in a directory of files.
 *
 * Owner: one process (a lock file says so). Whoever lets answers leave the process flushes it before (audit.ts): when it is
 * killed, no answer is without its record. A line that was cut off in the middle by a crash of the machine is taken
 * away at the next start, which is itself a record. States, one way: open -> failed | closed; a log that cannot be
 * written takes no more records, and its owner must not go on signing.
 */
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { type Clock, systemClock } from '../clock.ts';
import { tryLockFile } from '../engine/file-lock.ts';
import { KeylessError } from '../errors.ts';
import { auditFile, auditFiles } from './audit-files.ts';
import { type AuditLine, AuditLines, asciiJson, GENESIS, parseLine } from './audit-record.ts';
import { isAtPath } from './file-at-path.ts';

export interface AuditLogOptions {
  /** Made if it is not there; usable by its owner only. */
  readonly directory: string;
  /** A file that has reached it is followed by another; default 67,108,864 (64 MiB). */
  readonly maxFileBytes?: number | undefined;
  /** Called once, when the log, which could be written, cannot be any more. */
  readonly onFailure: (error: Error) => void;
  /** For tests: the time of records, milliseconds since 1970. */
  readonly wallClock?: (() => number) | undefined;
  /** For tests. */
  readonly clock?: Clock | undefined;
}

/** A record's digest and number. */
export type AuditHead = Readonly<{ seq: number; digest: string }>;

/** The fields of a record but those the log adds. */
export type AuditFields = Readonly<Record<string, string | number | undefined>>;

const DEFAULT_MAX_FILE_BYTES = 67_108_864;
/** Without a descriptor for another file, the one there is takes more, up to so many times its size, and tries again now and then. */
const MOST_FULL = 2;
const TRIES = 16;
/** A look costs as much as some records. */
const LOOK_MS = 1000;
const NO_MORE_FILES: ReadonlySet<string | undefined> = new Set(['EMFILE', 'ENFILE']);
const OWNER_ONLY = 0o600;
const OWNER_ONLY_DIRECTORY = { mode: 0o700 };

interface Tail {
  readonly head: Buffer;
  readonly seq: number;
  readonly bytes: number;
  /** Of a line that a crash cut off. */
  readonly tornBytes: number;
}

/** As `mkdir -p`. Node's own goes round for ever where a file system has no room for it and says ENOENT (/proc). */
function makeDirectory(path: string): void {
  try {
    mkdirSync(path, OWNER_ONLY_DIRECTORY);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return;
    if (code !== 'ENOENT' || existsSync(dirname(path))) throw error;
    makeDirectory(dirname(path));
    mkdirSync(path, OWNER_ONLY_DIRECTORY);
  }
}

/** @returns the last line that is whole, and how many bytes there are up to its end */
function lastLine(content: Buffer): { readonly line: AuditLine | undefined; readonly bytes: number } {
  const bytes = content.lastIndexOf(0x0a) + 1;
  const start = bytes === 0 ? 0 : content.subarray(0, bytes - 1).lastIndexOf(0x0a) + 1;
  return { line: parseLine(content.subarray(start, Math.max(start, bytes - 1)).toString('utf8')), bytes };
}

function readTail(path: string): Tail {
  const content = readFileSync(path);
  const { line, bytes } = lastLine(content);
  if (bytes > 0 && line === undefined) {
    throw new KeylessError(
      'ERR_KEYLESS_AUDIT',
      `The last record of ${path} cannot be read. Look at it with "keyless-tls audit verify", and move the log away to begin another.`,
    );
  }
  return {
    head: line?.digest ?? GENESIS,
    seq: line?.body.seq ?? 0,
    bytes,
    tornBytes: content.length - bytes,
  };
}

function tryLock(file: number, path: string): boolean {
  try {
    return tryLockFile(file);
  } catch (cause) {
    throw new KeylessError(
      'ERR_KEYLESS_AUDIT',
      `The audit log needs a file system with locks, for nobody else to write it: ${path} cannot be locked.`,
      { cause },
    );
  }
}

/**
 * Made if it is not there. One process writes one log: two would each break the other's chain. The lock is on what is written,
 * and ends with the process, however it ends: the number of a process is another one's after a restart, or in another container.
 */
function openLocked(path: string): number {
  const file = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_APPEND, OWNER_ONLY);
  try {
    if (tryLock(file, path)) return file;
  } catch (error) {
    closeSync(file);
    throw error;
  }
  closeSync(file);
  throw new KeylessError(
    'ERR_KEYLESS_AUDIT',
    `This audit log is being written already: another key server has locked ${path}.`,
  );
}

interface OpenFile {
  readonly file: number;
  readonly path: string;
}

interface LastFile extends OpenFile {
  /** The one before it. */
  readonly previous: string | undefined;
}

/** Whoever wrote the log may have begun another file, and ended, since its files were looked at. */
function openLast(directory: string): LastFile {
  for (;;) {
    const files = auditFiles(directory);
    const path = files.at(-1) ?? auditFile(directory, 1);
    const file = openLocked(path);
    if (auditFiles(directory).at(-1) === path) return { file, path, previous: files.at(-2) };
    closeSync(file);
  }
}

function notWritten(cause: Error): KeylessError {
  return new KeylessError('ERR_KEYLESS_AUDIT', `The audit log cannot be written: ${cause.message}`, {
    cause,
  });
}

export class AuditLog {
  readonly #directory: string;
  readonly #maxFileBytes: number;
  readonly #onFailure: (error: Error) => void;
  readonly #wallClock: () => number;
  readonly #clock: Clock;
  #file: number;
  #path: string;
  /** Since when it is not known whether the file is still there. */
  #lookedMs: number;
  #bytes: number;
  /** With so many another file is to follow. */
  #fullBytes: number;
  #seq: number;
  readonly #lines: AuditLines;
  /** Records of one millisecond have the same text for it. */
  #time = { ms: Number.NaN, text: '' };
  /** The last record that is in the file. */
  #written: AuditHead;
  #open = true;

  /** @throws ERR_KEYLESS_AUDIT if another process writes it, its end cannot be read, or it cannot be written; what node:fs throws */
  constructor({
    directory,
    maxFileBytes,
    onFailure,
    wallClock = Date.now,
    clock = systemClock,
  }: AuditLogOptions) {
    this.#directory = directory;
    this.#maxFileBytes = maxFileBytes ?? DEFAULT_MAX_FILE_BYTES;
    this.#fullBytes = this.#maxFileBytes;
    this.#onFailure = onFailure;
    this.#wallClock = wallClock;
    this.#clock = clock;
    makeDirectory(directory);
    const last = openLast(directory);
    this.#file = last.file;
    this.#path = last.path;
    this.#lookedMs = clock.now();
    try {
      const tail = readTail(last.path);
      // Killed between the making of a file and its first record: the chain's end is in the file before.
      const previous = tail.bytes === 0 ? last.previous : undefined;
      const { head, seq } = previous === undefined ? tail : readTail(previous);
      this.#lines = new AuditLines(head);
      this.#seq = seq;
      this.#written = { seq, digest: this.#lines.head };
      this.#bytes = tail.bytes;
      this.#goOn(tail, previous !== undefined);
    } catch (error) {
      closeSync(this.#file);
      throw error;
    }
  }

  #goOn({ bytes, tornBytes }: Tail, fromFileBefore: boolean): void {
    if (tornBytes > 0) ftruncateSync(this.#file, bytes);
    if (fromFileBefore) this.append('continued', { previous: this.#lines.head });
    this.append('opened', tornBytes > 0 ? { tornBytes } : {});
    this.#write();
  }

  /** What to note elsewhere: of what could not be written nobody will find anything. */
  get head(): AuditHead {
    this.flush();
    return this.#written;
  }

  /** Adds a record, `event` being a word; it is in the file after {@link flush}, or when this turn's immediates are done. */
  append(event: string, fields: AuditFields): void {
    const json = asciiJson(fields);
    this.appendMembers(event, json === '{}' ? '' : `,${json.slice(1, -1)}`);
  }

  /** As {@link append}. @param members of the JSON object, in ASCII, each after a comma */
  appendMembers(event: string, members: string): void {
    if (!this.#open) return;
    if (this.#lines.isEmpty) setImmediate(() => this.flush());
    this.#seq += 1;
    this.#lines.add(`{"seq":${this.#seq},"time":"${this.#timeText()}","event":"${event}"${members}}`);
  }

  #timeText(): string {
    const ms = this.#wallClock();
    if (ms !== this.#time.ms) this.#time = { ms, text: new Date(ms).toISOString() };
    return this.#time.text;
  }

  flush(): void {
    if (this.#lines.isEmpty || !this.#open) return;
    try {
      this.#write();
    } catch (error) {
      this.#onFailure(error as Error);
    }
  }

  /** @throws ERR_KEYLESS_AUDIT, and it takes no more records */
  #write(): void {
    try {
      if (this.#clock.now() - this.#lookedMs >= LOOK_MS) this.#look();
      this.#writeLines();
      if (this.#bytes >= this.#fullBytes) this.#rotate();
    } catch (cause) {
      this.#open = false;
      throw notWritten(cause as Error);
    }
  }

  /** A file that was taken away takes all that is written, and nobody finds it; of one that was cut short, the records before are gone. */
  #look(): void {
    this.#lookedMs = this.#clock.now();
    if (!isAtPath(this.#file, this.#path))
      throw new Error(`${this.#path} was taken away, or is another file`);
    if (fstatSync(this.#file).size !== this.#bytes)
      throw new Error(`${this.#path} was cut short, or written to, by another program`);
  }

  #writeLines(): void {
    const bytes = this.#lines.take();
    let written = 0;
    try {
      while (written < bytes.length) written += writeSync(this.#file, bytes, written);
    } catch (error) {
      // Some of them may be there, and the last of those cut off.
      const { line } = lastLine(bytes.subarray(0, written));
      if (line !== undefined) this.#written = { seq: line.body.seq, digest: line.digest.toString('hex') };
      throw error;
    }
    this.#written = { seq: this.#seq, digest: this.#lines.head };
    this.#bytes += bytes.length;
  }

  /** Writes what waits and ends. */
  close(): void {
    this.append('closed', {});
    this.#lookedMs = Number.NEGATIVE_INFINITY;
    this.flush();
    try {
      fsyncSync(this.#file);
    } catch (cause) {
      if (this.#open) this.#onFailure(notWritten(cause as Error));
    }
    this.#open = false;
    closeSync(this.#file);
  }

  /** The chain goes on: the first record of a file builds on the last of the file before, and says so. */
  #rotate(): void {
    fsyncSync(this.#file);
    const previous = this.#lines.head;
    const next = this.#openNext();
    if (next === undefined) return;
    // The next one is locked by now: at no time is the log anybody's.
    closeSync(this.#file);
    this.#file = next.file;
    this.#path = next.path;
    this.#bytes = 0;
    this.#fullBytes = this.#maxFileBytes;
    this.append('continued', { previous });
    this.#writeLines();
  }

  /** `undefined`: it is to be tried again, when the file there is has some more. Strangers can take all descriptors for a while. */
  #openNext(): OpenFile | undefined {
    const path = auditFile(this.#directory, this.#seq + 1);
    try {
      return { file: openLocked(path), path };
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      const mostBytes = MOST_FULL * this.#maxFileBytes;
      if (!NO_MORE_FILES.has(code) || this.#bytes >= mostBytes) throw error;
      this.#fullBytes = Math.min(mostBytes, this.#bytes + this.#maxFileBytes / TRIES);
      return undefined;
    }
  }
}

/**
 * The audit log: append-only, hash-chained, in a directory of files.
 *
 * Owner: one process (a lock file says so). A turn's records are in the file before its answers leave the process: when
 * it is killed, no answer is without its record. A line that was cut off in the middle by a crash of the machine is taken
 * away at the next start, which is itself a record. States, one way: open -> failed | closed; a log that cannot be
 * written takes no more records, and its owner must not go on signing.
 */
import {
  closeSync,
  constants,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { KeylessError } from '../errors.ts';
import { auditFile, auditFiles } from './audit-files.ts';
import { chain, encodeLine, GENESIS, parseLine } from './audit-record.ts';

export interface AuditLogOptions {
  /** Made if it is not there; usable by its owner only. */
  readonly directory: string;
  /** A file that has reached it is followed by another; default 67,108,864 (64 MiB). */
  readonly maxFileBytes?: number | undefined;
  /** Called once, when the log cannot be written any more. */
  readonly onFailure: (error: Error) => void;
  /** For tests: the time of records, milliseconds since 1970. */
  readonly wallClock?: (() => number) | undefined;
}

/** The fields of a record but those the log adds. */
export type AuditFields = Readonly<Record<string, string | number | undefined>>;

const DEFAULT_MAX_FILE_BYTES = 67_108_864;
const OWNER_ONLY = 0o600;

interface Tail {
  readonly head: Buffer;
  readonly seq: number;
  readonly bytes: number;
  /** Of a line that a crash cut off. */
  readonly tornBytes: number;
}

function readTail(path: string): Tail {
  const content = readFileSync(path);
  const bytes = content.lastIndexOf(0x0a) + 1;
  const start = bytes === 0 ? 0 : content.subarray(0, bytes - 1).lastIndexOf(0x0a) + 1;
  const line = parseLine(content.subarray(start, Math.max(start, bytes - 1)).toString('utf8'));
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

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** One process writes one log: two would each break the other's chain. */
function lock(path: string): void {
  for (let attempt = 0; ; attempt += 1) {
    try {
      writeFileSync(path, String(process.pid), { flag: 'wx', mode: OWNER_ONLY });
      return;
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause;
      const pid = Number(readFileSync(path, 'utf8'));
      if (attempt > 0 || (Number.isInteger(pid) && pid > 0 && isAlive(pid))) {
        throw new KeylessError(
          'ERR_KEYLESS_AUDIT',
          `Process ${pid} writes this audit log already (${path}).`,
          {
            cause,
          },
        );
      }
      rmSync(path, { force: true });
    }
  }
}

export class AuditLog {
  readonly #directory: string;
  readonly #maxFileBytes: number;
  readonly #onFailure: (error: Error) => void;
  readonly #wallClock: () => number;
  readonly #lockFile: string;
  #file: number;
  #bytes: number;
  #head: Buffer;
  #seq: number;
  #lines: string[] = [];
  #open = true;

  /** @throws ERR_KEYLESS_AUDIT if another process writes it or its end cannot be read; what node:fs throws */
  constructor({ directory, maxFileBytes, onFailure, wallClock = Date.now }: AuditLogOptions) {
    this.#directory = directory;
    this.#maxFileBytes = maxFileBytes ?? DEFAULT_MAX_FILE_BYTES;
    this.#onFailure = onFailure;
    this.#wallClock = wallClock;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    this.#lockFile = join(directory, 'lock');
    lock(this.#lockFile);
    const files = auditFiles(directory);
    const last = files.at(-1) ?? auditFile(directory, 1);
    this.#file = this.#openFile(last);
    const tail = readTail(last);
    // Killed between the making of a file and its first record: the chain's end is in the file before.
    const previous = tail.bytes === 0 ? files.at(-2) : undefined;
    const { head, seq } = previous === undefined ? tail : readTail(previous);
    this.#head = head;
    this.#seq = seq;
    this.#bytes = tail.bytes;
    if (tail.tornBytes > 0) ftruncateSync(this.#file, tail.bytes);
    if (previous !== undefined) this.append('continued', { previous: head.toString('hex') });
    this.append('opened', tail.tornBytes > 0 ? { tornBytes: tail.tornBytes } : {});
    this.flush();
  }

  /** The digest of the last record and its number: what to note elsewhere. */
  get head(): { readonly seq: number; readonly digest: string } {
    return { seq: this.#seq, digest: this.#head.toString('hex') };
  }

  /** Adds a record; it is in the file when this turn's immediates begin, or after {@link flush}. */
  append(event: string, fields: AuditFields): void {
    if (!this.#open) return;
    if (this.#lines.length === 0) process.nextTick(() => this.flush());
    this.#seq += 1;
    const json = JSON.stringify({
      seq: this.#seq,
      time: new Date(this.#wallClock()).toISOString(),
      event,
      ...fields,
    });
    this.#head = chain(this.#head, json);
    this.#lines.push(encodeLine(this.#head, json));
  }

  flush(): void {
    if (this.#lines.length === 0 || !this.#open) return;
    const bytes = Buffer.from(this.#lines.join(''));
    this.#lines = [];
    try {
      for (let written = 0; written < bytes.length; ) written += writeSync(this.#file, bytes, written);
      this.#bytes += bytes.length;
      if (this.#bytes >= this.#maxFileBytes) this.#rotate();
    } catch (cause) {
      this.#open = false;
      this.#onFailure(
        new KeylessError(
          'ERR_KEYLESS_AUDIT',
          `The audit log cannot be written: ${(cause as Error).message}`,
          { cause },
        ),
      );
    }
  }

  /** Writes what waits and ends. */
  close(): void {
    if (this.#open) {
      this.append('closed', {});
      this.flush();
    }
    this.#open = false;
    fsyncSync(this.#file);
    closeSync(this.#file);
    rmSync(this.#lockFile, { force: true });
  }

  #openFile(path: string): number {
    return openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_APPEND, OWNER_ONLY);
  }

  /** The chain goes on: the first record of a file builds on the last of the file before, and says so. */
  #rotate(): void {
    fsyncSync(this.#file);
    closeSync(this.#file);
    const previous = this.#head.toString('hex');
    this.#file = this.#openFile(auditFile(this.#directory, this.#seq + 1));
    this.#bytes = 0;
    this.append('continued', { previous });
    this.flush();
  }
}

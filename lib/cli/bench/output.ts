/** Where a report goes: a run takes minutes, so whether there is a place for it is known before, and whether it is there after. */
import { randomUUID } from 'node:crypto';
import {
  closeSync,
  constants,
  openSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { UsageError } from '../command.ts';
import { replaceFile } from '../replaced-file.ts';

/** Makes the file, and takes it away again: what a link leads to, and not the link. */
function tryNew(path: string): void {
  closeSync(openSync(path, 'a'));
  rmSync(realpathSync(path));
}

/**
 * Whether a page can be written. What is there stays as it is.
 *
 * @throws UsageError with the reason
 */
export function checkWritable(path: string): void {
  try {
    const found = statSync(path, { throwIfNoEntry: false });
    // To open one waits for who reads it.
    if (found?.isFIFO() === true) throw new Error('it is a pipe');
    if (found === undefined) tryNew(path);
    else closeSync(openSync(path, 'r+'));
  } catch (error) {
    const text = `The page cannot be written to ${JSON.stringify(path)}: ${(error as Error).message}.`;
    throw new UsageError(text, 'keyless-tls bench --html bench.html');
  }
}

/** Where Node.js finds a standard stream closed, it opens this, for reading and writing; who redirects to it opens it for writing. */
function isClosed(fd: number): boolean {
  try {
    const flags = Number.parseInt(
      /^flags:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))![1]!,
      8,
    );
    const access = flags & (constants.O_WRONLY | constants.O_RDWR);
    return access === constants.O_RDWR && readlinkSync(`/proc/self/fd/${fd}`) === '/dev/null';
  } catch {
    return false;
  }
}

/** @throws UsageError where what is printed would be nowhere, as far as the system tells */
export function checkPrintable(): void {
  if (!isClosed(process.stdout.fd)) return;
  throw new UsageError(
    'Standard output is closed, and no --html given: there is no place for the report.',
    'keyless-tls bench --html bench.html',
  );
}

/** The text has no place: it would have none in the file itself either, and that would be lost, too. */
const NO_PLACE: readonly unknown[] = ['EDQUOT', 'EFBIG', 'EIO', 'ENOSPC'];

/** Nobody's file has this name, and it is short where that of the page may be as long as names can be. */
const besidePage = (target: string) => join(dirname(target), `.keyless-tls-${randomUUID()}`);

/** Where nothing can be put beside a file, or take its place, whatever the reason: it is written to. */
function replaceOrWrite(path: string, text: string): void {
  try {
    replaceFile(path, text, besidePage);
  } catch (error) {
    if (NO_PLACE.includes((error as NodeJS.ErrnoException).code)) throw error;
    writeFileSync(path, text);
  }
}

/** Made first, as anybody's new file is and where a link leads to, and gone again where nothing can be written to it. */
function writeNew(path: string, text: string): void {
  closeSync(openSync(path, 'a'));
  try {
    replaceOrWrite(path, text);
  } catch (error) {
    rmSync(realpathSync(path));
    throw error;
  }
}

/**
 * A page that is there is there until the new one is whole: beside it first, where that can be.
 *
 * @throws Error with the path, and the code of the system
 */
export function writePage(path: string, text: string): void {
  try {
    const found = statSync(path, { throwIfNoEntry: false });
    if (found === undefined) writeNew(path, text);
    else if (found.isFile()) replaceOrWrite(path, text);
    else writeFileSync(path, text);
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException;
    const reason = `The page could not be written to ${JSON.stringify(path)}: ${message}`;
    throw Object.assign(new Error(reason, { cause: error }), { code });
  }
}

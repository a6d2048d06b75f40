/** Where a report goes: a run takes minutes, so whether there is a place for it is known before, and whether it is there after. */
import { closeSync, fstatSync, openSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { UsageError } from '../command.ts';
import type { ProgressOutput } from './progress.ts';

/** @throws Error what kept the report from being written, with the code of the system */
function lost(error: unknown): never {
  const { message, code } = error as NodeJS.ErrnoException;
  const text = `The report could not be written, and is not whole: ${message}`;
  throw Object.assign(new Error(text, { cause: error }), { code });
}

/**
 * Writes all of it, or says that it did not. Node.js's stream of a file takes a short write, as of a disk that is nearly full, for a
 * whole one (20 to 26): files are written here.
 *
 * @throws (rejects) Error where not all of it could be written
 */
export async function print(
  text: string,
  stream: NodeJS.WriteStream & { readonly fd: number } = process.stdout,
): Promise<void> {
  // Told by the write itself, too.
  stream.on('error', () => undefined);
  if (fstatSync(stream.fd).isFile()) {
    try {
      return writeFileSync(stream.fd, Buffer.from(text));
    } catch (error) {
      lost(error);
    }
  }
  const error = await new Promise<Error | null | undefined>((resolve) => stream.write(text, resolve));
  if (error) lost(error);
}

/**
 * Where it is told what happens meanwhile, and the work does not depend on that: a pipe that nobody reads any more, a terminal that
 * is gone and a full disk are told nothing.
 */
export function unlessLost(stream: NodeJS.WriteStream): ProgressOutput {
  stream.on('error', () => undefined);
  const write = (text: string) => {
    try {
      stream.write(text);
    } catch {
      // As files are written to (Node.js 20 to 26).
    }
  };
  return { isTTY: stream.isTTY, write };
}

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

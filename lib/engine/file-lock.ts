/** A lock on an open file, which the system lets go of when its process ends, however it ends. */
import { getSystemErrorName } from 'node:util';
import { addon } from './addon.ts';

const HELD = ['EWOULDBLOCK', 'EAGAIN'];

/**
 * Tries once, and never waits. Closing the file gives the lock up.
 *
 * @param file descriptor, open for writing (NFS asks for that)
 * @returns `false`: another open of the file has it, in this process or in any other, in whatever container
 * @throws Error with `code`, as those of node:fs, where the file system has no locks
 */
export function tryLockFile(file: number): boolean {
  const errno = addon().lockFile(file);
  if (errno === 0) return true;
  const code = getSystemErrorName(-errno);
  if (HELD.includes(code)) return false;
  throw Object.assign(new Error(`${code}: the file cannot be locked`), { code });
}

/** Files with secrets: for their owner only, bounded, and really files. */
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';

const GROUP_AND_OTHERS = 0o077;

/**
 * Checks and reads the same open file, so that it cannot be exchanged in between.
 *
 * @throws Error that says what is wrong with it, in words that follow "it"
 */
export function readGuarded(path: string, maxBytes: number): Buffer {
  // Not blocking: opening a named pipe would wait for a writer.
  const file = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  try {
    const stat = fstatSync(file);
    if (!stat.isFile()) throw new Error('it is not a file');
    if (process.platform !== 'win32' && (stat.mode & GROUP_AND_OTHERS) !== 0) {
      const mode = (stat.mode & 0o777).toString(8).padStart(4, '0');
      throw new Error(`its permissions are ${mode}, others than its owner may use it: chmod 600 it`);
    }
    if (stat.size > maxBytes) throw new Error(`it has ${stat.size} bytes, a key has at most ${maxBytes}`);
    return readFileSync(file);
  } finally {
    closeSync(file);
  }
}

/** Files that are really files, and bounded; those with secrets are for their owner only. */
import { closeSync, constants, fstatSync, openSync, readFileSync, type Stats } from 'node:fs';

const GROUP_AND_OTHERS = 0o077;

/**
 * Checks and reads the same open file, so that it cannot be exchanged in between.
 *
 * @param check what else is asked of it: throws
 * @throws Error that says what is wrong with it, in words that follow "it"
 */
export function readBounded(
  path: string,
  maxBytes: number,
  check: (stat: Stats) => void = () => undefined,
): Buffer {
  // Not blocking: opening a named pipe would wait for a writer.
  const file = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  try {
    const stat = fstatSync(file);
    if (!stat.isFile()) throw new Error('it is not a file');
    check(stat);
    if (stat.size > maxBytes) throw new Error(`it has ${stat.size} bytes, at most ${maxBytes} are read`);
    return readFileSync(file);
  } finally {
    closeSync(file);
  }
}

function checkOwnerOnly({ mode }: Stats): void {
  if (process.platform === 'win32' || (mode & GROUP_AND_OTHERS) === 0) return;
  const text = (mode & 0o777).toString(8).padStart(4, '0');
  throw new Error(`its permissions are ${text}, others than its owner may use it: chmod 600 it`);
}

/**
 * A file with a secret, as {@link readBounded}.
 *
 * @throws Error also if others than its owner may use it
 */
export function readGuarded(path: string, maxBytes: number): Buffer {
  return readBounded(path, maxBytes, checkOwnerOnly);
}

/** Files that others read while they are replaced: in one step, and whose they were. */
import {
  closeSync,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';

const OWNER_ONLY = 0o600;
const PERMISSIONS = 0o7777;

/** A service that reads the file as a user of its own must still be able to, also when root replaces it. */
function keepOwner(file: number, path: string, { uid, gid, mode }: Stats): void {
  const own = fstatSync(file);
  try {
    if (own.uid !== uid || own.gid !== gid) fchownSync(file, uid, gid);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const message = `${path} belongs to user ${uid} and group ${gid}, which cannot be kept: do this as root, or as that user.`;
    throw Object.assign(new Error(message, { cause }), { code });
  }
  fchmodSync(file, mode & PERMISSIONS);
}

/** Of file systems that write no folder out when they are asked to, and of folders that may be written to and not read. */
const NOT_SYNCED: readonly unknown[] = ['EACCES', 'EBADF', 'EINVAL', 'EISDIR', 'ENOTSUP', 'EPERM'];

/** What was said to be done is so after a loss of power, too, where the system can say that: the file is in its place already. */
function syncFolder(path: string): void {
  let folder: number | undefined;
  try {
    folder = openSync(path, 'r');
    fsyncSync(folder);
  } catch (error) {
    if (!NOT_SYNCED.includes((error as NodeJS.ErrnoException).code)) throw error;
  } finally {
    if (folder !== undefined) closeSync(folder);
  }
}

/** One for each file: what was left of the last time is replaced. */
const besideIt = (target: string) => `${target}.next`;

interface Next {
  readonly target: string;
  /** Where the new text is, whole and on the disk. */
  readonly next: string;
}

function writeNext(path: string, text: string, nextOf: (target: string) => string): Next {
  const was = statSync(path, { throwIfNoEntry: false });
  const target = was === undefined ? path : realpathSync(path);
  const next = nextOf(target);
  rmSync(next, { force: true });
  // Never what somebody else has put there, nor where a link of theirs leads to.
  const file = openSync(next, 'wx', OWNER_ONLY);
  try {
    writeFileSync(file, text);
    if (was !== undefined) keepOwner(file, target, was);
    fsyncSync(file);
  } catch (error) {
    rmSync(next, { force: true });
    throw error;
  } finally {
    closeSync(file);
  }
  return { target, next };
}

/**
 * Files that belong together, such as a key and its certificate, as {@link replaceFile}: all are whole before the first is in its place.
 *
 * @param files [path, text]
 */
export function replaceFiles(
  files: readonly (readonly [path: string, text: string])[],
  nextOf: (target: string) => string = besideIt,
): void {
  const written: Next[] = [];
  try {
    for (const [path, text] of files) written.push(writeNext(path, text, nextOf));
    for (const { next, target } of written) renameSync(next, target);
  } catch (error) {
    for (const { next } of written) rmSync(next, { force: true });
    throw error;
  }
  for (const folder of new Set(written.map(({ target }) => dirname(target)))) syncFolder(folder);
}

/**
 * Whoever reads the file reads the old text or the new one. It keeps its owner, group and permissions, and a symbolic link
 * stays one; a new file is for its owner only.
 *
 * @param nextOf where the new text is until it is whole, in the same folder: what is there is removed
 * @throws what node:fs throws, and the file is as it was; or the disk has failed when the new one was in its place
 */
export function replaceFile(path: string, text: string, nextOf?: (target: string) => string): void {
  replaceFiles([[path, text]], nextOf);
}

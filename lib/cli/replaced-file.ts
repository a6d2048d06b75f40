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

/** What was said to be done is so after a loss of power, too. */
function syncFolder(path: string): void {
  const folder = openSync(dirname(path), 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

/**
 * Whoever reads the file reads the old text or the new one. It keeps its owner, group and permissions, and a symbolic link
 * stays one; a new file is for its owner only.
 *
 * @throws what node:fs throws, and the file is as it was
 */
export function replaceFile(path: string, text: string): void {
  const was = statSync(path, { throwIfNoEntry: false });
  const target = was === undefined ? path : realpathSync(path);
  const next = `${target}.next`;
  rmSync(next, { force: true });
  // Never what somebody else has put there, nor where a link of theirs leads to.
  const file = openSync(next, 'wx', OWNER_ONLY);
  try {
    writeFileSync(file, text);
    if (was !== undefined) keepOwner(file, target, was);
    fsyncSync(file);
    renameSync(next, target);
  } catch (error) {
    rmSync(next, { force: true });
    throw error;
  } finally {
    closeSync(file);
  }
  syncFolder(target);
}

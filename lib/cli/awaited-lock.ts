/** Commands that change the same files take turns: one waits for the other, for a while. */
import { closeSync, openSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { tryLockFile } from '../engine/file-lock.ts';
import { KeylessError } from '../errors.ts';

const POLL_MS = 20;
const PATIENCE_MS = 10_000;

/**
 * @param tryOpen opens and locks it; `undefined`: somebody else has it
 * @returns the descriptor: closing it gives the lock up
 * @throws (rejects) ERR_KEYLESS_TIMEOUT; what `tryOpen` throws
 */
export async function openLocked(path: string, tryOpen: () => number | undefined): Promise<number> {
  const until = performance.now() + PATIENCE_MS;
  for (;;) {
    const file = tryOpen();
    if (file !== undefined) return file;
    if (performance.now() >= until) {
      throw new KeylessError('ERR_KEYLESS_TIMEOUT', `Another command has been editing ${path} for too long.`);
    }
    await sleep(POLL_MS);
  }
}

/** NFS locks what is open for writing, which no directory is: there nobody waits. */
function isOthers(folder: number): boolean {
  try {
    return !tryLockFile(folder);
  } catch {
    return false;
  }
}

function tryOpenFolder(directory: string): number | undefined {
  const folder = openSync(directory, 'r');
  if (!isOthers(folder)) return folder;
  closeSync(folder);
  return undefined;
}

/** @param work nobody else does what is done so in this directory until it has ended */
export async function aloneIn<T>(directory: string, work: () => Promise<T>): Promise<T> {
  const folder = await openLocked(directory, () => tryOpenFolder(directory));
  try {
    return await work();
  } finally {
    closeSync(folder);
  }
}

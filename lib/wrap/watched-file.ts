/** Files that are read again when they change, or when the process is told to (SIGHUP). */
import { type BigIntStats, readFileSync, statSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { clearInterval, setInterval } from '../timers.ts';

/** Polling finds a file that was replaced, on any file system; a change counts within this time. */
const POLL_MS = 250;

export interface WatchedFile {
  /** Reads it now. */
  reload(): void;
  close(): void;
}

/** Files as they were before they were read: what is not so any more when they are looked at again has not been read. */
export interface SeenFiles {
  readonly paths: readonly string[];
  readonly stamp: string;
}

/** Another text if the file is another one. */
function stampOf({ dev, ino, size, mode, uid, gid, mtimeNs, ctimeNs }: BigIntStats): string {
  return [dev, ino, size, mode, uid, gid, mtimeNs, ctimeNs].join();
}

function seeFile(path: string): string {
  try {
    return stampOf(statSync(path, { bigint: true }));
  } catch (error) {
    return String((error as NodeJS.ErrnoException).code);
  }
}

/** As {@link seeFile}; a file system that does not answer holds nobody up. */
function lookAtFile(path: string): Promise<string> {
  return stat(path, { bigint: true }).then(stampOf, (error: NodeJS.ErrnoException) => String(error.code));
}

/** To be called before they are read. */
export function seeFiles(paths: readonly string[]): SeenFiles {
  return { paths, stamp: paths.map(seeFile).join(' ') };
}

/**
 * @param seen one file
 * @param take gets the text at each change; what it throws goes to `onProblem`
 * @param onProblem the file cannot be read or used: what there was stays
 */
export function watchedFile(
  seen: SeenFiles,
  take: (text: string) => void,
  onProblem: (error: Error) => void,
): WatchedFile {
  const [path] = seen.paths;
  const reload = () => {
    try {
      take(readFileSync(path!, 'utf8'));
    } catch (error) {
      onProblem(error as Error);
    }
  };
  return watchedFiles(seen, reload);
}

/**
 * Does not keep the process alive.
 *
 * @param reload reads them, and throws nothing
 */
export function watchedFiles(seen: SeenFiles, reload: () => void): WatchedFile {
  let { stamp } = seen;
  let [looking, closed] = [false, false];
  const look = async () => {
    if (looking) return;
    looking = true;
    const now = (await Promise.all(seen.paths.map(lookAtFile))).join(' ');
    looking = false;
    if (closed || now === stamp) return;
    stamp = now;
    reload();
  };
  const timer = setInterval(look, POLL_MS).unref();
  const close = () => {
    closed = true;
    clearInterval(timer);
  };
  return { reload, close };
}

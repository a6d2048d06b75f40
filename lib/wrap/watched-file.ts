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

/** Of a pipe, as of a shell's `<(...)`: what comes through it changes it. */
const PIPE = 'pipe';

/** Another text if the file is another one. */
function stampOf(stats: BigIntStats): string {
  const { dev, ino, size, mode, uid, gid, mtimeNs, ctimeNs } = stats;
  return stats.isFIFO() ? PIPE : [dev, ino, size, mode, uid, gid, mtimeNs, ctimeNs].join();
}

function seeFile(path: string): string {
  try {
    return stampOf(statSync(path, { bigint: true }));
  } catch (error) {
    return String((error as NodeJS.ErrnoException).code);
  }
}

function lookAtFile(path: string): Promise<string> {
  return stat(path, { bigint: true }).then(stampOf, (error: NodeJS.ErrnoException) => String(error.code));
}

/**
 * As that of {@link seeFiles}; a file system that does not answer holds nobody up. One after the other: each look is in a thread
 * of libuv's, which has four for everything in this process.
 */
async function lookAtFiles(paths: readonly string[]): Promise<string> {
  const stamps: string[] = [];
  for (const path of paths) stamps.push(await lookAtFile(path));
  return stamps.join(' ');
}

/** To be called before they are read. */
export function seeFiles(paths: readonly string[]): SeenFiles {
  return { paths, stamp: paths.map(seeFile).join(' ') };
}

/** To read a pipe once more waits for who writes to it, which may be nobody. @throws Error: one of them is a pipe by now, or was at the start */
function checkReadable(paths: readonly string[]): void {
  const pipe = paths.find((path) => seeFile(path) === PIPE);
  if (pipe !== undefined) throw new Error(`${JSON.stringify(pipe)} is a pipe: it is read once, at the start`);
}

/** Whether it is the system that has not let a file be read: for want of files, by its disk, its rights. */
function isOfSystem(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return typeof (error as NodeJS.ErrnoException).syscall === 'string' || isOfSystem(error.cause);
}

/**
 * @param seen one file
 * @param take as `read` of {@link watchedFiles}, gets the text
 */
export function watchedFile(
  seen: SeenFiles,
  take: (text: string) => void,
  onProblem: (error: Error) => void,
): WatchedFile {
  const [path] = seen.paths;
  return watchedFiles(seen, () => take(readFileSync(path!, 'utf8')), onProblem);
}

/**
 * Does not keep the process alive.
 *
 * @param read reads them, at each change, and throws what is wrong with them; where the system has not let it (an error with `syscall`
 * is among the causes), also at each look until it does
 * @param onProblem hears of that, of the same of one change once: what there was stays
 */
export function watchedFiles(
  seen: SeenFiles,
  read: () => void,
  onProblem: (error: Error) => void,
): WatchedFile {
  let { stamp } = seen;
  let [looking, closed] = [false, false];
  /** What the system said to the last read, if that is to be tried again. */
  let refusal: string | undefined;
  const tryReading = (told?: string) => {
    refusal = undefined;
    try {
      checkReadable(seen.paths);
      read();
    } catch (cause) {
      const error = cause as Error;
      if (isOfSystem(error)) refusal = error.message;
      if (error.message !== told) onProblem(error);
    }
  };
  const look = async () => {
    if (looking) return;
    looking = true;
    const now = await lookAtFiles(seen.paths);
    looking = false;
    if (closed) return;
    const changed = now !== stamp;
    stamp = now;
    if (changed) tryReading();
    else if (refusal !== undefined) tryReading(refusal);
  };
  const timer = setInterval(look, POLL_MS).unref();
  const close = () => {
    closed = true;
    clearInterval(timer);
  };
  return { reload: () => tryReading(), close };
}

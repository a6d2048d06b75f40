/** Files that are read again when they change, or when the process is told to (SIGHUP). */
import { readFileSync, unwatchFile, watchFile } from 'node:fs';

/** Polling finds a file that was replaced, on any file system; a change counts within this time. */
const POLL_MS = 250;

export interface WatchedFile {
  /** Reads it now. */
  reload(): void;
  close(): void;
}

/**
 * @param path of the file
 * @param take gets the text at each change; what it throws goes to `onProblem`
 * @param onProblem the file cannot be read or used: what there was stays
 */
export function watchedFile(
  path: string,
  take: (text: string) => void,
  onProblem: (error: Error) => void,
): WatchedFile {
  const reload = () => {
    try {
      take(readFileSync(path, 'utf8'));
    } catch (error) {
      onProblem(error as Error);
    }
  };
  return watchedFiles([path], reload);
}

/** @param reload reads them, and throws nothing */
export function watchedFiles(paths: readonly string[], reload: () => void): WatchedFile {
  for (const path of paths) watchFile(path, { interval: POLL_MS, persistent: false }, reload);
  const close = () => {
    for (const path of paths) unwatchFile(path, reload);
  };
  return { reload, close };
}

/** `keyless-tls serve --keys`: the private keys, from a directory that may change. */
import { readGuarded } from '../server/guarded-file.ts';
import type { LiveKeyStore, StoredKey } from '../server/key-store.ts';
import type { KeyProblem } from '../server/pem-directory.ts';
import { ReloadingDirectory } from '../server/reloading-directory.ts';
import { type SeenFiles, type WatchedFile, watchedFiles } from '../wrap/watched-file.ts';
import { UsageError } from './command.ts';
import type { Print } from './event-lines.ts';

const HINT = 'keyless-tls serve --help';
const MAX_SECRET_BYTES = 4096;
/** Polling finds files that were replaced, on any file system. */
const POLL_MS = 500;

/** The first line. @throws UsageError if the file is not for its owner only, or empty */
export function readSecretLine(option: string, path: string): string {
  try {
    const [line = ''] = readGuarded(path, MAX_SECRET_BYTES).toString('utf8').split(/\r?\n/);
    if (line !== '') return line;
    throw new Error('its first line is empty');
  } catch (cause) {
    throw new UsageError(`The file of ${option}: ${(cause as Error).message}`, HINT, { cause });
  }
}

function openDirectory(path: string, passphrase: string | undefined): ReloadingDirectory {
  try {
    return new ReloadingDirectory(path, { passphrase });
  } catch (error) {
    const { message } = ((error as Error).cause ?? error) as Error;
    throw new UsageError(`The directory of --keys cannot be read: ${message}`, HINT);
  }
}

export function tellKeys(event: string, keys: readonly StoredKey[], print: Print): void {
  for (const { keyId, kind, label } of keys) {
    print(event, { id: Buffer.from(keyId).toString('hex'), kind: kind.type, file: label });
  }
}

export function tellProblems(problems: readonly KeyProblem[], print: Print): void {
  for (const { file, reason } of problems) print('key-problem', { file, reason });
}

/** @throws UsageError if there is no usable key */
export function loadKeys(path: string, passphrase: string | undefined, print: Print): ReloadingDirectory {
  const directory = openDirectory(path, passphrase);
  const { problems, keys } = directory;
  tellProblems(problems, print);
  tellKeys('key', keys, print);
  if (keys.length > 0) return directory;
  const why = problems.map(({ file, reason }) => ` ${file}: ${reason}.`).join('');
  throw new UsageError(`The directory of --keys holds no usable key (a file named *.key, PEM).${why}`, HINT);
}

/**
 * What was added or removed is told of, and what cannot be used, once.
 *
 * @param file how lines call the store
 * @param looked called after each look
 * @returns looks again: at once, or when the look that is under way has ended
 */
export function reloading(
  file: string,
  store: Pick<LiveKeyStore, 'reload'>,
  told: readonly KeyProblem[],
  print: Print,
  looked: () => void,
): () => void {
  let toldText = JSON.stringify(told);
  let [looking, changed] = [false, false];
  const tellOnce = (problems: readonly KeyProblem[]) => {
    const text = JSON.stringify(problems);
    if (text !== toldText) tellProblems(problems, print);
    toldText = text;
  };
  const look = async () => {
    changed = false;
    try {
      const { added, removed, problems } = await store.reload();
      tellOnce(problems);
      tellKeys('key', added, print);
      tellKeys('key-removed', removed, print);
      looked();
    } catch (error) {
      tellOnce([{ file, reason: (error as Error).message }]);
    }
  };
  // What changes while it is looked at counts, too.
  const lookAll = async () => {
    while (changed) await look();
    looking = false;
  };
  return () => {
    changed = true;
    if (looking) return;
    looking = true;
    void lookAll();
  };
}

/** @param everyMs looks as often, and when it is told to */
export function polled(look: () => void, everyMs: number): WatchedFile {
  const timer = setInterval(look, everyMs).unref();
  return { reload: look, close: () => clearInterval(timer) };
}

/** The key of a file that cannot be used any more stays as it was. */
export function watchKeys(
  path: string,
  directory: ReloadingDirectory,
  print: Print,
  looked: () => void,
): WatchedFile {
  return polled(reloading(path, directory, directory.problems, print, looked), POLL_MS);
}

/**
 * A passphrase that cannot be read is told of, and the one before stays.
 *
 * @param seen the passphrase's file, before it was read; @param keys of the directory: they are looked at when there is another passphrase
 */
export function watchPassphrase(
  seen: SeenFiles,
  directory: ReloadingDirectory,
  keys: WatchedFile,
  print: Print,
): WatchedFile {
  const [file] = seen.paths;
  const read = () => {
    directory.passphrase = readSecretLine('--passphrase-file', file!);
    keys.reload();
  };
  return watchedFiles(seen, read, ({ message: reason }) => tellProblems([{ file: file!, reason }], print));
}

/** `keyless-tls serve --keys`: the private keys, from a directory that may change. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { readGuarded } from '../server/guarded-file.ts';
import type { StoredKey } from '../server/key-store.ts';
import type { KeyProblem } from '../server/pem-directory.ts';
import { ReloadingDirectory } from '../server/reloading-directory.ts';
import { UsageError } from './command.ts';
import type { Print } from './event-lines.ts';
import type { WatchedFile } from './watched-file.ts';

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
  } catch (error) {
    throw new UsageError(`The file of ${option}: ${(error as Error).message}`, HINT);
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
  const { problems, keys } = directory.first;
  tellProblems(problems, print);
  tellKeys('key', keys, print);
  if (keys.length > 0) return directory;
  const why = problems.map(({ file, reason }) => ` ${file}: ${reason}.`).join('');
  throw new UsageError(`The directory of --keys holds no usable key (a file named *.key, PEM).${why}`, HINT);
}

/** Changes with anything that may change a key. */
function stateOf(path: string): string {
  try {
    return readdirSync(path)
      .filter((name) => name.endsWith('.key'))
      .map((name) => {
        const { ino, size, mtimeMs, mode } = statSync(join(path, name), { throwIfNoEntry: false }) ?? {};
        return [name, ino, size, mtimeMs, mode].join();
      })
      .join('\n');
  } catch {
    return '';
  }
}

/** What was added or removed is told of, and what cannot be used: the key of that file stays as it was. */
export function watchKeys(path: string, directory: ReloadingDirectory, print: Print): WatchedFile {
  let state = stateOf(path);
  const reload = () => {
    state = stateOf(path);
    try {
      const { added, removed, problems } = directory.reload();
      tellProblems(problems, print);
      tellKeys('key', added, print);
      tellKeys('key-removed', removed, print);
    } catch (error) {
      print('key-problem', { file: path, reason: (error as Error).message });
    }
  };
  const timer = setInterval(() => {
    if (stateOf(path) !== state) reload();
  }, POLL_MS).unref();
  return { reload, close: () => clearInterval(timer) };
}

/** `keyless-tls serve`: its certificate, its key, the CA of the edges and the revocation list, from files that may change. */
import { readFileSync } from 'node:fs';
import type { KeyServer, KeyServerCredentials } from '../server/key-server.ts';
import { type SeenFiles, seeFiles, type WatchedFile, watchedFiles } from '../wrap/watched-file.ts';
import { UsageError } from './command.ts';
import type { Print } from './event-lines.ts';
import { certificateOption, checkPair, privateKeyOption } from './pem-option.ts';

type Values = Readonly<Record<string, unknown>>;

const FILES = ['cert', 'key', 'ca', 'crl'] as const;

function readLists(path: unknown): string | undefined {
  if (typeof path !== 'string') return undefined;
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new UsageError(
      `The file of --crl cannot be read: ${(cause as Error).message}`,
      'keyless-tls serve --help',
      { cause },
    );
  }
}

/** @throws UsageError that says which file is wrong */
export function readCredentials(values: Values): KeyServerCredentials {
  const cert = certificateOption('serve', values, 'cert');
  const key = privateKeyOption('serve', values, 'key');
  checkPair('serve', cert, key);
  return { cert, key, ca: certificateOption('serve', values, 'ca'), crl: readLists(values.crl) };
}

/** To be called before they are read. */
export function seeCredentials(values: Values): SeenFiles {
  return seeFiles(FILES.map((name) => values[name]).filter((path) => typeof path === 'string'));
}

/** A change of a file since it was seen counts for the connections to come; bad ones are told of, and what there was stays. */
export function watchCredentials(
  values: Values,
  seen: SeenFiles,
  server: KeyServer,
  print: Print,
): WatchedFile {
  const read = () => {
    server.setCredentials(readCredentials(values));
    print('credentials', {});
  };
  return watchedFiles(seen, read, ({ message }) => print('credentials-problem', { reason: message }));
}

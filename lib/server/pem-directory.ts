/** A directory of PEM files as a key store: `example.com.key` and nothing that only looks like it. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { KeylessError } from '../errors.ts';
import { readGuarded } from './guarded-file.ts';
import { KeyIndex } from './key-index.ts';
import type { KeyProblem, KeySelector, KeyStore, StoredKey } from './key-store.ts';
import { pemKey } from './pem-key.ts';
import { isAsItWas, type SeenFile, seeFile } from './seen-file.ts';

export type { KeyProblem } from './key-store.ts';

export interface PemDirectory extends KeyStore {
  readonly keys: readonly StoredKey[];
  /** Files named `*.key` that could not be used; the others are. */
  readonly problems: readonly KeyProblem[];
}

export interface PemDirectoryOptions {
  /** Of encrypted keys; `undefined`: they are problems. */
  readonly passphrase?: string | undefined;
}

/** The largest RSA key in PEM is far below it; a device or a log file is not. */
const MAX_FILE_BYTES = 65_536;

function isKeyFile(name: string): boolean {
  return /^[^.].*\.key$/s.test(name);
}

/** PKCS#8 and the traditional formats say so in clear (RFC 7468 §11, RFC 1421 §4.6.1.1). */
function isEncrypted(pem: Buffer): boolean {
  return pem.includes('ENCRYPTED');
}

/** What OpenSSL says of a wrong passphrase depends on what it decrypts to by chance. */
function parseProblem(error: unknown, pem: Buffer, passphrase: string | undefined): Error {
  if (error instanceof KeylessError) return error;
  if (!isEncrypted(pem)) return new Error('it holds no private key in PEM');
  return new Error(
    passphrase === undefined ? 'it is encrypted, and no passphrase was given' : 'the passphrase does not fit',
  );
}

function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return code === 'EACCES' ? 'this process may not read it' : message;
}

const PRIVATE_KEY = /^-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----/gm;

/** OpenSSL reads the first key of a file, and says nothing of others. */
function problemOfMore(pem: Buffer): string | undefined {
  const keys = pem.toString('latin1').match(PRIVATE_KEY)?.length ?? 0;
  return keys > 1
    ? `it holds ${keys} keys, of which the first is served: give each a file of its own`
    : undefined;
}

function loadKey(
  path: string,
  file: string,
  passphrase: string | undefined,
): Pick<KeyFile, 'key' | 'problem'> {
  const pem = readGuarded(path, MAX_FILE_BYTES);
  try {
    return { key: pemKey(pem, file, passphrase), problem: problemOfMore(pem) };
  } catch (error) {
    throw parseProblem(error, pem, passphrase);
  }
}

/** One `*.key` file as it was found. */
export interface KeyFile {
  /** `undefined`: there was none, or it could not be read. */
  readonly seen: SeenFile | undefined;
  /** What it holds, or held before it had a problem. */
  readonly key: StoredKey | undefined;
  /** `undefined`: none. */
  readonly problem: string | undefined;
  /** With which it was read; another one may fit where that did not. */
  readonly passphrase: string | undefined;
}

/** Reading it again would come to the same. */
function isKnown(file: KeyFile, seen: SeenFile | undefined, passphrase: string | undefined): boolean {
  if (seen === undefined || !isAsItWas(seen, file.seen)) return false;
  return file.problem === undefined || file.passphrase === passphrase;
}

/** Looking at one file takes 5 µs, reading a key 100 and more. */
const LOOKS_AT_ONCE = 100;

/** @returns `undefined`: there is no such file */
function seeAt(path: string, before: SeenFile | undefined): SeenFile | undefined {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return undefined;
  const { dev, ino, size, mode, mtimeMs, ctimeMs } = stat;
  const stamp = [dev, ino, size, mode, mtimeMs, ctimeMs].join();
  return seeFile(stamp, Math.max(mtimeMs, ctimeMs), before);
}

function read(
  path: string,
  file: string,
  before: KeyFile | undefined,
  passphrase: string | undefined,
): KeyFile {
  let seen: SeenFile | undefined;
  try {
    seen = seeAt(path, before?.seen);
    if (before !== undefined && isKnown(before, seen, passphrase)) return before;
    return { seen, ...loadKey(path, file, passphrase), passphrase };
  } catch (error) {
    // What the system has not let be read is another file than the one with that stamp, for all that is known of it.
    const { syscall } = error as NodeJS.ErrnoException;
    const known = syscall === undefined ? seen : undefined;
    return { seen: known, key: before?.key, problem: reasonOf(error), passphrase };
  }
}

/**
 * Looks at the files of a directory, and reads those that are not as they were. Yields where others may have their turn.
 *
 * @param before what an earlier look has returned
 * @throws as {@link pemDirectory}
 */
export function* lookAtKeys(
  directory: string,
  { passphrase }: PemDirectoryOptions,
  before: ReadonlyMap<string, KeyFile>,
): Generator<void, ReadonlyMap<string, KeyFile>> {
  const files = new Map<string, KeyFile>();
  let looks = 0;
  for (const file of listKeyFiles(directory)) {
    const known = before.get(file);
    const found = read(join(directory, file), file, known, passphrase);
    files.set(file, found);
    looks += 1;
    if (found !== known || looks % LOOKS_AT_ONCE === 0) yield;
  }
  return files;
}

export function keysOf(files: ReadonlyMap<string, KeyFile>): StoredKey[] {
  return [...files.values()].flatMap(({ key }) => key ?? []);
}

export function problemsOf(files: ReadonlyMap<string, KeyFile>): KeyProblem[] {
  return [...files].flatMap(([file, { problem }]) =>
    problem === undefined ? [] : { file, reason: problem },
  );
}

/** To the end, at once. */
export function finish<T>(work: Generator<void, T>): T {
  for (;;) {
    const { done, value } = work.next();
    if (done === true) return value;
  }
}

function listKeyFiles(directory: string): string[] {
  try {
    return readdirSync(directory).filter(isKeyFile).sort();
  } catch (cause) {
    const reason = (cause as Error).message;
    throw new KeylessError(
      'ERR_KEYLESS_INVALID_ARGUMENT',
      `The directory of keys cannot be read: ${reason}`,
      { cause },
    );
  }
}

function labelsOf(keys: readonly StoredKey[]): ReadonlyMap<string, readonly StoredKey[]> {
  const labels = new Map<string, StoredKey[]>();
  for (const key of keys) {
    const others = labels.get(key.label);
    if (others === undefined) labels.set(key.label, [key]);
    else others.push(key);
  }
  return labels;
}

/** A key store over keys that are already loaded. */
export function keyStoreOf(keys: readonly StoredKey[]): Required<KeyStore> {
  const index = new KeyIndex(keys);
  const labels = labelsOf(keys);
  return {
    named: (label) => labels.get(label) ?? [],
    find({ keyId, certificateDigest }: KeySelector) {
      const selector = keyId ?? certificateDigest;
      return selector === undefined ? undefined : index.find(selector);
    },
  };
}

/**
 * Loads every file of the directory whose name ends in `.key` and does not begin with a dot, now.
 *
 * @param directory path; files in it must be usable by their owner only
 * @throws ERR_KEYLESS_INVALID_ARGUMENT if the directory cannot be read; a bad file is a problem, not an exception
 */
export function pemDirectory(directory: string, options: PemDirectoryOptions = {}): PemDirectory {
  const files = finish(lookAtKeys(directory, options, new Map()));
  const keys = keysOf(files);
  return { ...keyStoreOf(keys), keys, problems: problemsOf(files) };
}

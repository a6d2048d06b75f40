/** A directory of PEM files as a key store: `example.com.key` and nothing that only looks like it. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { KeylessError } from '../errors.ts';
import { readGuarded } from './guarded-file.ts';
import type { KeyProblem, KeySelector, KeyStore, StoredKey } from './key-store.ts';
import { pemKey } from './pem-key.ts';

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

function loadKey(path: string, file: string, passphrase: string | undefined): StoredKey {
  const pem = readGuarded(path, MAX_FILE_BYTES);
  try {
    return pemKey(pem, file, passphrase);
  } catch (error) {
    throw parseProblem(error, pem, passphrase);
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

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
}

/** Every key by each of its names. */
function indexOf(keys: readonly StoredKey[]): ReadonlyMap<string, StoredKey> {
  const index = new Map<string, StoredKey>();
  for (const key of keys) {
    index.set(hex(key.keyId), key);
    if (key.certificateDigest !== undefined) index.set(hex(key.certificateDigest), key);
  }
  return index;
}

/** A key store over keys that are already loaded. */
export function keyStoreOf(keys: readonly StoredKey[]): KeyStore {
  const index = indexOf(keys);
  return {
    find({ keyId, certificateDigest }: KeySelector) {
      const selector = keyId ?? certificateDigest;
      return selector === undefined ? undefined : index.get(hex(selector));
    },
  };
}

/**
 * Loads every file of the directory whose name ends in `.key` and does not begin with a dot, now.
 *
 * @param directory path; files in it must be usable by their owner only
 * @throws ERR_KEYLESS_INVALID_ARGUMENT if the directory cannot be read; a bad file is a problem, not an exception
 */
export function pemDirectory(directory: string, { passphrase }: PemDirectoryOptions = {}): PemDirectory {
  const keys: StoredKey[] = [];
  const problems: KeyProblem[] = [];
  for (const file of listKeyFiles(directory)) {
    try {
      keys.push(loadKey(join(directory, file), file, passphrase));
    } catch (error) {
      problems.push({ file, reason: reasonOf(error) });
    }
  }
  return { ...keyStoreOf(keys), keys, problems };
}

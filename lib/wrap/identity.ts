/** What this edge shows to its key servers, from files that are renewed while it runs. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { KeylessError } from '../errors.ts';
import type { EdgeCredentials } from '../keys/key-servers.ts';
import { clearTimeout, setTimeout } from '../timers.ts';
import { readStub } from './stub.ts';
import { type SeenFiles, seeFiles, watchedFiles } from './watched-file.ts';

/** Absolute paths of PEM files. */
export interface IdentityFiles {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

/** Certificate and key are two files: between the one and the other they do not belong together. */
const SETTLES_MS = 1000;

function invalid(message: string, cause?: unknown): KeylessError {
  return new KeylessError('ERR_KEYLESS_INVALID_ARGUMENT', message, { cause });
}

function readPem(name: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw invalid(`The file of "${name}" cannot be read: ${(cause as Error).message}.`, cause);
  }
}

function checked<T>(name: string, what: string, look: () => T): T {
  try {
    return look();
  } catch (cause) {
    throw invalid(`The file of "${name}" holds no ${what} (PEM): ${(cause as Error).message}.`, cause);
  }
}

/** OpenSSL would say what is wrong, and not of what. */
function checkIdentity({ cert, key, ca }: Readonly<Record<'cert' | 'key' | 'ca', Buffer>>): void {
  if (readStub(key.toString('latin1')) !== undefined) {
    throw invalid(
      'The file of "key" is a stub: towards the key servers, this edge needs a private key of its own.',
    );
  }
  const certificate = checked('cert', 'certificate', () => new X509Certificate(cert));
  const privateKey = checked('key', 'private key without a passphrase', () => createPrivateKey(key));
  checked('ca', 'certificate', () => new X509Certificate(ca));
  if (!certificate.checkPrivateKey(privateKey))
    throw invalid(
      'The private key in the file of "key" does not belong to the certificate in the file of "cert".',
    );
}

/** To be called before they are read. */
export function seeIdentity({ cert, key, ca }: IdentityFiles): SeenFiles {
  return seeFiles([cert, key, ca]);
}

/** @throws ERR_KEYLESS_INVALID_ARGUMENT that says which file is wrong */
export function readIdentity(files: IdentityFiles): EdgeCredentials {
  const identity = {
    cert: readPem('cert', files.cert),
    key: readPem('key', files.key),
    ca: readPem('ca', files.ca),
  };
  checkIdentity(identity);
  return identity;
}

/**
 * Files that change count from then on. What is still wrong a second later is told of as a warning, and the identity stays.
 * Does not keep the process alive.
 *
 * @param seen as they were before they were read
 */
export function watchIdentity(
  files: IdentityFiles,
  seen: SeenFiles,
  take: (identity: EdgeCredentials) => void,
): { close(): void } {
  let timer: NodeJS.Timeout | undefined;
  const warn = ({ message }: Error) => {
    process.emitWarning(
      `The identity towards the key servers stays what it was. ${message}`,
      'KeylessWarning',
    );
  };
  const read = () => {
    const identity = readIdentity(files);
    clearTimeout(timer);
    take(identity);
  };
  const onProblem = (error: Error) => {
    clearTimeout(timer);
    timer = setTimeout(warn, SETTLES_MS, error).unref();
  };
  const watched = watchedFiles(seen, read, onProblem);
  const close = () => {
    clearTimeout(timer);
    watched.close();
  };
  return { close };
}

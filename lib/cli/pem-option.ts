/** Options that name PEM files: read and looked at before they are used, so that the message can say which is wrong. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { UsageError } from './command.ts';

type Values = Readonly<Record<string, unknown>>;

/** The option's value. @throws UsageError if it was not given */
export function requiredOption(command: string, values: Values, name: string): string {
  const value = values[name];
  if (typeof value === 'string' && value !== '') return value;
  throw new UsageError(`--${name} is missing.`, `keyless-tls ${command} --help`);
}

/**
 * @param what it must hold, as the error says it; @param check throws if it does not; a UsageError says more than that
 * @throws UsageError
 */
export function readOption(
  command: string,
  values: Values,
  name: string,
  what: string,
  check: (pem: Buffer) => unknown,
) {
  const path = requiredOption(command, values, name);
  const hint = `keyless-tls ${command} --help`;
  let pem: Buffer;
  try {
    pem = readFileSync(path);
  } catch (cause) {
    throw new UsageError(`The file of --${name} cannot be read: ${(cause as Error).message}`, hint, {
      cause,
    });
  }
  try {
    check(pem);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`The file of --${name}, ${JSON.stringify(path)}, holds no ${what} in PEM.`, hint);
  }
  return pem;
}

/** The option's file, which begins with a certificate. @throws UsageError */
export function certificateOption(command: string, values: Values, name: string): Buffer {
  return readOption(command, values, name, 'certificate', (pem) => new X509Certificate(pem));
}

/** The option's file, which holds a private key without a passphrase. @throws UsageError */
export function privateKeyOption(command: string, values: Values, name: string): Buffer {
  return readOption(command, values, name, 'private key without a passphrase', createPrivateKey);
}

/** @throws UsageError if the key is not that of the certificate */
export function checkPair(command: string, cert: Buffer, key: Buffer): void {
  if (new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))) return;
  throw new UsageError(
    'The key of --key is not that of the certificate of --cert.',
    `keyless-tls ${command} --help`,
  );
}

/**
 * `--backend-ca`, `--backend-cert` and `--backend-key`: read once, at the start, and tried then. What is wrong with them would
 * otherwise be told as what is wrong with a backend, request by request.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { statSync } from 'node:fs';
import { KeylessError } from '../errors.ts';
import { certificateBlocks, requireCertificate } from '../protocol/pem-certificates.ts';
import type { BackendCredentials, BackendTls } from '../proxy/backend-tls.ts';
import { readStub } from '../wrap/stub.ts';
import { UsageError } from './command.ts';
import { certificateOption, readOption } from './pem-option.ts';

const HINT = 'keyless-tls proxy --help';
const KEY_FORMS = 'private key without a passphrase, and no stub,';

type Values = Readonly<Partial<Record<'backend-ca' | 'backend-cert' | 'backend-key', string | undefined>>>;

function checkAuthorities(pem: Buffer): void {
  const blocks = certificateBlocks(pem, 'ca');
  if (blocks.length === 0) throw new Error('there is none');
  for (const block of blocks) requireCertificate(block, 'ca');
}

function stubIn(key: Buffer) {
  return readStub(key.toString('latin1'));
}

function checkKey(pem: Buffer): void {
  let stub: ReturnType<typeof readStub>;
  try {
    stub = stubIn(pem);
  } catch (error) {
    throw new UsageError(`The file of --backend-key cannot be used. ${(error as Error).message}`, HINT);
  }
  if (stub === undefined) createPrivateKey(pem);
}

function checkPair(cert: Buffer, key: Buffer): void {
  const certificate = new X509Certificate(cert);
  const stub = stubIn(key);
  const belongs =
    stub === undefined
      ? certificate.checkPrivateKey(createPrivateKey(key))
      : certificate.publicKey.export({ type: 'spki', format: 'der' }).equals(stub.publicKey);
  if (!belongs)
    throw new UsageError('The key of --backend-key is not that of the certificate of --backend-cert.', HINT);
}

function readPair(values: Values): BackendCredentials {
  if ((values['backend-cert'] === undefined) !== (values['backend-key'] === undefined))
    throw new UsageError('--backend-cert and --backend-key belong together.', HINT);
  if (values['backend-cert'] === undefined) return {};
  const cert = certificateOption('proxy', values, 'backend-cert');
  const key = readOption('proxy', values, 'backend-key', KEY_FORMS, checkKey);
  checkPair(cert, key);
  return { cert, key };
}

/** @throws UsageError */
export function readBackendCredentials(values: Values): BackendCredentials {
  const pair = readPair(values);
  if (values['backend-ca'] === undefined) return pair;
  const ca = readOption(
    'proxy',
    values,
    'backend-ca',
    'certificates, or some that are not whole,',
    checkAuthorities,
  );
  return { ca, ...pair };
}

/** For processes that read them again, each for itself. @throws UsageError for a pipe, which has nothing for a second one */
export function demandFiles(values: Values): void {
  for (const name of ['backend-ca', 'backend-cert', 'backend-key'] as const) {
    const path = values[name];
    if (path !== undefined && !statSync(path).isFile())
      throw new UsageError(`--${name} is a pipe, and each of --workers reads it: give a file.`, HINT);
  }
}

/** Whether the key is on a key server. */
export function hasStub({ credentials: { key } }: BackendTls): boolean {
  return key !== undefined && stubIn(key) !== undefined;
}

/**
 * As for the first backend: a stub's key servers are connected.
 *
 * @throws UsageError with what OpenSSL has against it; KeylessError
 */
export function tryBackendTls(tls: BackendTls): void {
  try {
    const { ca, cert } = tls.credentials;
    if (ca !== undefined || cert !== undefined) tls.context();
  } catch (error) {
    if (error instanceof KeylessError) throw error;
    const { message } = error as Error;
    throw new UsageError(`--backend-ca, --backend-cert or --backend-key cannot be used: ${message}`, HINT);
  }
}

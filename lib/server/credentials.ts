/** Who a key server is to its clients, and which clients it lets in: what its TLS is made of. */
import { constants } from 'node:crypto';
import type tls from 'node:tls';
import { KeylessError } from '../errors.ts';
import { cheapGroups } from '../protocol/key-exchange.ts';
import { requireWholeCertificates } from '../protocol/pem-certificates.ts';
import { isGiven } from '../protocol/pem-given.ts';
import { splitLists } from './revocation-list.ts';

type Pem = tls.SecureContextOptions['cert'];

/** Who the key server is, and which clients it lets in. */
export interface KeyServerCredentials {
  /** The key server's own certificate chain and private key for mutual TLS, PEM. */
  readonly cert: Pem;
  readonly key: tls.SecureContextOptions['key'];
  /** Of `key`, if it is encrypted. */
  readonly passphrase?: string | undefined;
  /** The CA whose clients are edges, PEM. */
  readonly ca: tls.SecureContextOptions['ca'];
  /**
   * Certificate revocation lists, PEM, one text with one for each CA. With them, a client whose CA has no valid list is not
   * let in.
   */
  readonly crl?: string | undefined;
}

/** Strong suites only; the last two are those of TLS 1.2 edges in the field. */
const CIPHERS = [
  'TLS_AES_256_GCM_SHA384',
  'TLS_AES_128_GCM_SHA256',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
].join(':');

/** @throws ERR_KEYLESS_INVALID_ARGUMENT */
export function requireOption<T extends object>(options: T, name: keyof T & string): void {
  if (isGiven(options[name])) return;
  throw new KeylessError('ERR_KEYLESS_INVALID_ARGUMENT', `A key server needs "${name}".`);
}

/** @throws ERR_KEYLESS_INVALID_ARGUMENT */
export function requireCredentials(credentials: KeyServerCredentials): void {
  for (const name of ['cert', 'key', 'ca'] as const) requireOption(credentials, name);
  requireWholeCertificates(credentials);
}

export function secureOptionsOf({
  cert,
  key,
  passphrase,
  ca,
  crl,
}: KeyServerCredentials): tls.SecureContextOptions {
  return {
    cert,
    key,
    ca,
    ...(passphrase === undefined ? {} : { passphrase }),
    ...(crl === undefined ? {} : { crl: splitLists(crl) }),
    minVersion: 'TLSv1.2',
    ciphers: CIPHERS,
    ecdhCurve: cheapGroups(),
    // A resumed session would outlive the certificate it was made with.
    secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
  };
}

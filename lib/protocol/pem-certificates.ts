/** Certificates in PEM: what is half of a copy is not used at all, be it by key servers or by edges. */
import { X509Certificate } from 'node:crypto';
import type tls from 'node:tls';
import { KeylessError } from '../errors.ts';
import { type PemBlock, pemBlocks } from './pem-blocks.ts';

type Pem = tls.SecureContextOptions['cert'];

const TRUSTED = 'TRUSTED CERTIFICATE';

/** @throws ERR_KEYLESS_INVALID_ARGUMENT if one of them is not whole */
export function certificateBlocks(pem: Pem, name: 'cert' | 'ca'): readonly PemBlock[] {
  const labels = ['CERTIFICATE', 'X509 CERTIFICATE', TRUSTED];
  return [pem ?? []].flat().flatMap((text) => pemBlocks(String(text), labels, `"${name}"`));
}

/**
 * OpenSSL reads no further than the first that it cannot read, and says nothing. What it calls trusted has more in it than a certificate.
 *
 * @throws ERR_KEYLESS_INVALID_ARGUMENT
 */
export function requireCertificate({ label, der }: PemBlock, name: string): void {
  if (label === TRUSTED) return;
  try {
    new X509Certificate(der);
  } catch (cause) {
    const message = `"${name}" has a certificate that cannot be read.`;
    throw new KeylessError('ERR_KEYLESS_INVALID_ARGUMENT', message, { cause });
  }
}

/** @throws ERR_KEYLESS_INVALID_ARGUMENT if one of them cannot be read, or is not whole */
export function requireWholeCertificates(pem: { readonly cert: Pem; readonly ca: Pem }): void {
  for (const name of ['cert', 'ca'] as const) {
    for (const block of certificateBlocks(pem[name], name)) requireCertificate(block, name);
  }
}

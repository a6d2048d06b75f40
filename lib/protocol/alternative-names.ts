/** The subject alternative names of a certificate (RFC 5280 §4.2.1.6), whatever is in that extension. */
import type { X509Certificate } from 'node:crypto';

/**
 * @returns as Node writes them; `undefined`: there are none, or none that can be read. Newer versions of Node throw there (22.23,
 * 24.22, 26.12), which peers must not bring about.
 */
export function alternativeNames(certificate: X509Certificate): string | undefined {
  try {
    return certificate.subjectAltName;
  } catch {
    return undefined;
  }
}

/**
 * Certificate revocation lists (RFC 5280 §5), as far as a connection that is open needs them: OpenSSL checks a list, its
 * signature and its dates, in each new handshake; whoever was revoked later is found here.
 */
import { KeylessError } from '../errors.ts';
import { INTEGER, readElement, SEQUENCE } from '../protocol/der.ts';

const VERSION_OF_CERTIFICATE = 0xa0;
const BLOCK = /-----BEGIN X509 CRL-----[A-Za-z0-9+/=\s]+-----END X509 CRL-----/g;

function nameOf(issuer: Buffer, serial: Buffer): string {
  return `${issuer.toString('base64')} ${serial.toString('hex')}`;
}

/** @param der a certificate; @returns its issuer and serial number as one text, see {@link revokedCertificates} */
export function issuerAndSerial(der: Buffer): string {
  const certificate = readElement(readElement(der, SEQUENCE).content, SEQUENCE).content;
  const version = certificate[0] === VERSION_OF_CERTIFICATE;
  const serial = readElement(version ? readElement(certificate, undefined).rest : certificate, INTEGER);
  const algorithm = readElement(serial.rest, SEQUENCE);
  return nameOf(readElement(algorithm.rest, SEQUENCE).whole, serial.content);
}

/** Adds what one list revokes: the issuer is that of the list. */
function readList(der: Buffer, into: Set<string>): void {
  let rest = readElement(readElement(der, SEQUENCE).content, SEQUENCE).content;
  if (rest[0] === INTEGER) rest = readElement(rest, INTEGER).rest;
  const issuer = readElement(readElement(rest, SEQUENCE).rest, SEQUENCE);
  rest = issuer.rest;
  // thisUpdate and nextUpdate, in either form of time; the list of certificates is the first sequence after them.
  while (rest.length > 0 && rest[0] !== SEQUENCE) rest = readElement(rest, undefined).rest;
  if (rest.length === 0) return;
  let entries = readElement(rest, SEQUENCE).content;
  while (entries.length > 0) {
    const entry = readElement(entries, SEQUENCE);
    into.add(nameOf(issuer.whole, readElement(entry.content, INTEGER).content));
    entries = entry.rest;
  }
}

/**
 * @param pem one list or several, one after the other
 * @returns issuer and serial number of each certificate that they revoke, as {@link issuerAndSerial} has them
 * @throws ERR_KEYLESS_INVALID_ARGUMENT if it holds no list, or one that cannot be read
 */
export function revokedCertificates(pem: string): ReadonlySet<string> {
  const revoked = new Set<string>();
  for (const list of splitLists(pem)) {
    const base64 = list.replace(/-----[^-]+-----/g, '');
    readList(Buffer.from(base64, 'base64'), revoked);
  }
  return revoked;
}

/**
 * @param pem one list or several, one after the other
 * @returns each by itself, as node:tls wants them
 * @throws ERR_KEYLESS_INVALID_ARGUMENT if it holds none
 */
export function splitLists(pem: string): string[] {
  const lists = pem.match(BLOCK);
  if (lists !== null) return lists;
  throw new KeylessError(
    'ERR_KEYLESS_INVALID_ARGUMENT',
    'The certificate revocation list holds no "X509 CRL" in PEM (RFC 7468, section 6).',
  );
}

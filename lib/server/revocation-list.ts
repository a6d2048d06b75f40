/**
 * Certificate revocation lists (RFC 5280 §5), as far as a connection that is open needs them: OpenSSL checks a list, its
 * signature and its dates, in each new handshake; whoever was revoked later is found here.
 */
import { isSameName } from '../engine/same-name.ts';
import { KeylessError } from '../errors.ts';
import { INTEGER, readElement, SEQUENCE } from '../protocol/der.ts';
import { type PemBlock, pemBlocks } from '../protocol/pem-blocks.ts';

const VERSION_OF_CERTIFICATE = 0xa0;

/** What a revocation list calls a certificate by. */
export interface CertificateName {
  /** In DER. */
  readonly issuer: Buffer;
  /** Hexadecimal. */
  readonly serial: string;
}

/** @param der a certificate */
export function certificateName(der: Buffer): CertificateName {
  const certificate = readElement(readElement(der, SEQUENCE).content, SEQUENCE).content;
  const version = certificate[0] === VERSION_OF_CERTIFICATE;
  const serial = readElement(version ? readElement(certificate, undefined).rest : certificate, INTEGER);
  const algorithm = readElement(serial.rest, SEQUENCE);
  const issuer = Buffer.from(readElement(algorithm.rest, SEQUENCE).whole);
  return { issuer, serial: serial.content.toString('hex') };
}

/** One list. Immutable. */
export class RevocationList {
  readonly #issuer: Buffer;
  readonly #serials: ReadonlySet<string>;

  /** @throws ERR_KEYLESS_INVALID_ARGUMENT if it cannot be read */
  constructor(der: Buffer) {
    let rest = readElement(readElement(der, SEQUENCE).content, SEQUENCE).content;
    if (rest[0] === INTEGER) rest = readElement(rest, INTEGER).rest;
    const issuer = readElement(readElement(rest, SEQUENCE).rest, SEQUENCE);
    // A view would keep the whole list.
    this.#issuer = Buffer.from(issuer.whole);
    this.#serials = readSerials(issuer.rest);
  }

  /** How many it revokes. */
  get size(): number {
    return this.#serials.size;
  }

  /** Whether it revokes that certificate: the list's issuer is that of all its entries. */
  revokes({ issuer, serial }: CertificateName): boolean {
    if (!this.#serials.has(serial)) return false;
    return this.#issuer.equals(issuer) || isSameName(this.#issuer, issuer);
  }
}

/** @param afterIssuer what follows the issuer in a list */
function readSerials(afterIssuer: Buffer): ReadonlySet<string> {
  const serials = new Set<string>();
  let rest = afterIssuer;
  // thisUpdate and nextUpdate, in either form of time; the list of certificates is the first sequence after them.
  while (rest.length > 0 && rest[0] !== SEQUENCE) rest = readElement(rest, undefined).rest;
  if (rest.length === 0) return serials;
  let entries = readElement(rest, SEQUENCE).content;
  while (entries.length > 0) {
    const entry = readElement(entries, SEQUENCE);
    serials.add(readElement(entry.content, INTEGER).content.toString('hex'));
    entries = entry.rest;
  }
  return serials;
}

/**
 * @param pem one list or several, one after the other
 * @throws ERR_KEYLESS_INVALID_ARGUMENT if it holds no list, or one that cannot be read
 */
export function revocationLists(pem: string): readonly RevocationList[] {
  return blocksOf(pem).map(({ der }) => new RevocationList(der));
}

/**
 * @param pem one list or several, one after the other
 * @returns each by itself, as node:tls wants them
 * @throws ERR_KEYLESS_INVALID_ARGUMENT if it holds none, or one that is not whole
 */
export function splitLists(pem: string): string[] {
  return blocksOf(pem).map(({ whole }) => whole);
}

function blocksOf(pem: string): readonly PemBlock[] {
  const lists = pemBlocks(pem, ['X509 CRL'], 'The certificate revocation list');
  if (lists.length > 0) return lists;
  throw new KeylessError(
    'ERR_KEYLESS_INVALID_ARGUMENT',
    'The certificate revocation list holds no "X509 CRL" in PEM (RFC 7468, section 6).',
  );
}

/**
 * The certificates that vouch for a client, from its own to the authority: whoever of them is revoked, it is not to be served.
 *
 * OpenSSL does not tell by which of them it has verified a client, which may send others of the same names beside them. So each is
 * taken by its signature, and the last one has to be the authority.
 */
import { X509Certificate } from 'node:crypto';
import type tls from 'node:tls';
import { type CertificateName, certificateName } from './revocation-list.ts';

const BLOCK = /-----BEGIN (X509 |TRUSTED )?CERTIFICATE-----[^-]+-----END \1CERTIFICATE-----/g;

/** One certificate vouches for the other. What has a key that OpenSSL does not know vouches for nobody. */
function isIssued(certificate: X509Certificate, issuer: X509Certificate): boolean {
  try {
    return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
  } catch {
    return false;
  }
}

/** @returns nothing for what cannot be read: OpenSSL takes no notice of it either */
function read(certificate: string | Buffer): readonly X509Certificate[] {
  try {
    return [new X509Certificate(certificate)];
  } catch {
    return [];
  }
}

/**
 * What the client has sent beside its own, whatever it is. Node.js gives it to whoever asks first for the certificate, one
 * behind the other, and afterwards to nobody (20 to 26).
 */
function sentWith(certificate: X509Certificate): readonly X509Certificate[] {
  const sent: X509Certificate[] = [];
  for (let each = certificate.issuerCertificate; each !== undefined; each = each.issuerCertificate) {
    sent.push(each);
  }
  return sent;
}

/** @returns `undefined`: it is not written in DER; OpenSSL takes other forms of BER, too */
function nameOf({ raw }: X509Certificate): CertificateName | undefined {
  try {
    return certificateName(raw);
  } catch {
    return undefined;
  }
}

function isValid({ validFrom, validTo }: X509Certificate, now: number): boolean {
  return Date.parse(validFrom) <= now && now <= Date.parse(validTo);
}

/** The certificates of the authority. Immutable. */
export class Authorities {
  readonly #all: readonly X509Certificate[];
  /** SHA-256 fingerprints of those that nobody else vouches for. */
  readonly #roots: ReadonlySet<string>;

  /** @param ca PEM, one text or several, each with any number of certificates */
  constructor(ca: tls.SecureContextOptions['ca']) {
    const texts = [ca ?? []].flat().map(String);
    this.#all = texts.flatMap((text) => text.match(BLOCK) ?? []).flatMap(read);
    const roots = this.#all.filter((each) => isIssued(each, each));
    this.#roots = new Set(roots.map(({ fingerprint256 }) => fingerprint256));
  }

  /**
   * @param certificate the client's own, of the first call of `getPeerX509Certificate`
   * @returns the names in revocation lists of all that vouch for it, its own first;
   * `undefined`: they do not lead here
   */
  chainOf(certificate: X509Certificate): readonly CertificateName[] | undefined {
    const now = Date.now();
    const sent = sentWith(certificate).filter((each) => each.ca && isValid(each, now));
    return this.#lead(certificate, new Set([...sent, ...this.#all]));
  }

  /** @param left who may vouch for it, but for those that are known not to lead here */
  #lead(certificate: X509Certificate, left: Set<X509Certificate>): readonly CertificateName[] | undefined {
    const name = nameOf(certificate);
    // What no list can name vouches for nobody.
    if (name === undefined) return undefined;
    if (this.#roots.has(certificate.fingerprint256)) return [name];
    for (const issuer of [...left]) {
      if (!left.has(issuer) || !isIssued(certificate, issuer)) continue;
      left.delete(issuer);
      const rest = this.#lead(issuer, left);
      if (rest !== undefined) return [name, ...rest];
    }
    return undefined;
  }
}

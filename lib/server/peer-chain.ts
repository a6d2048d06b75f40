/**
 * The certificates that vouch for a client, from its own to the authority: whoever of them is revoked, it is not to be served.
 *
 * OpenSSL has verified them, and Node.js does not say by which, but by names: so each is taken by its signature, and the last one has
 * to be the authority.
 */
import { type KeyObject, X509Certificate } from 'node:crypto';
import type tls from 'node:tls';
import { certificateBlocks } from '../protocol/pem-certificates.ts';
import { type CertificateName, certificateName } from './revocation-list.ts';

/** Below the authority's, the client's own included; each costs a verification of a signature. */
export const MAX_PATH = 8;

/** @returns nothing for what cannot be read: OpenSSL takes no notice of it either */
function read(certificate: string): readonly X509Certificate[] {
  try {
    return [new X509Certificate(certificate)];
  } catch {
    return [];
  }
}

/** @returns `undefined`: it is not written in DER; OpenSSL takes other forms of BER, too */
function nameOf({ raw }: X509Certificate): CertificateName | undefined {
  try {
    return certificateName(raw);
  } catch {
    return undefined;
  }
}

/** @returns `undefined`: OpenSSL does not know such keys */
function keyOf(certificate: X509Certificate): KeyObject | undefined {
  try {
    return certificate.publicKey;
  } catch {
    return undefined;
  }
}

function isAuthorityNow({ ca, validFrom, validTo }: X509Certificate): boolean {
  const now = Date.now();
  return ca && Date.parse(validFrom) <= now && now <= Date.parse(validTo);
}

/** Who may vouch for others. Immutable. */
class Issuer {
  readonly certificate: X509Certificate;
  /** Parsed once: Node does it at each look. */
  readonly #key: KeyObject | undefined;

  constructor(certificate: X509Certificate) {
    this.certificate = certificate;
    this.#key = keyOf(certificate);
  }

  vouchesFor(other: X509Certificate): boolean {
    try {
      return this.#key !== undefined && other.checkIssued(this.certificate) && other.verify(this.#key);
    } catch {
      return false;
    }
  }
}

/**
 * @param roots that nobody else vouches for
 * @param left who may vouch for it, but for those that are known not to lead to a root
 * @returns the names from this one to a root; `undefined`: there is no way
 */
function leadToRoot(
  issuer: Issuer,
  roots: ReadonlySet<Issuer>,
  left: Set<Issuer>,
): readonly CertificateName[] | undefined {
  const name = nameOf(issuer.certificate);
  if (name === undefined) return undefined;
  if (roots.has(issuer)) return [name];
  for (const next of left) {
    if (!next.vouchesFor(issuer.certificate)) continue;
    left.delete(next);
    const rest = leadToRoot(next, roots, left);
    if (rest !== undefined) return [name, ...rest];
  }
  return undefined;
}

interface Authority {
  readonly issuer: Issuer;
  /** Its own, and of those that vouch for it. */
  readonly names: readonly CertificateName[];
}

/** The certificates of the authority. Immutable. */
export class Authorities {
  readonly #all: readonly Authority[];

  /** @param ca PEM, one text or several, each with any number of certificates */
  constructor(ca: tls.SecureContextOptions['ca']) {
    const issuers = certificateBlocks(ca, 'ca')
      .flatMap(({ whole }) => read(whole))
      .map((certificate) => new Issuer(certificate));
    const roots = new Set(issuers.filter((each) => each.vouchesFor(each.certificate)));
    this.#all = issuers.flatMap((issuer) => {
      const names = leadToRoot(issuer, roots, new Set(issuers));
      return names === undefined ? [] : [{ issuer, names }];
    });
  }

  /**
   * @param path the client's own certificate, and behind each the one that it seems to be from; no more than {@link MAX_PATH}
   * are looked at
   * @returns the names in revocation lists of all that vouch for it, its own first; `undefined`: they do not lead here
   */
  chainOf(path: readonly X509Certificate[]): readonly CertificateName[] | undefined {
    const names: CertificateName[] = [];
    let last: X509Certificate | undefined;
    for (const certificate of path.slice(0, MAX_PATH)) {
      if (last !== undefined && !mayStandBehind(last, certificate)) return undefined;
      const name = nameOf(certificate);
      // What no list can name vouches for nobody.
      if (name === undefined) return undefined;
      names.push(name);
      const authority = this.#all.find(({ issuer }) => issuer.vouchesFor(certificate));
      if (authority !== undefined) return [...names, ...authority.names];
      last = certificate;
    }
    return undefined;
  }
}

function mayStandBehind(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return isAuthorityNow(issuer) && new Issuer(issuer).vouchesFor(certificate);
}

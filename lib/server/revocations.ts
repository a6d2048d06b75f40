/** Whom the authority's revocation lists turn away, also of those who came before they were there. */
import type { X509Certificate } from 'node:crypto';
import type { KeyServerCredentials } from './credentials.ts';
import { Authorities } from './peer-chain.ts';
import { type CertificateName, type RevocationList, revocationLists } from './revocation-list.ts';

/** Who vouches for a client, by their names in revocation lists; `undefined`: nobody has looked, or nobody of the authority does. */
export type PeerChain = readonly CertificateName[] | undefined;

/** Immutable: other credentials make others. */
export class Revocations {
  /** `undefined`: there are no lists. */
  readonly #lists: { readonly authorities: Authorities; readonly all: readonly RevocationList[] } | undefined;

  /** @throws ERR_KEYLESS_INVALID_ARGUMENT for a list that cannot be read */
  constructor({ ca, crl }: KeyServerCredentials) {
    if (crl === undefined) return;
    this.#lists = { authorities: new Authorities(ca), all: revocationLists(crl) };
  }

  /** @param path as of {@link Authorities.chainOf} */
  chainOf(path: readonly X509Certificate[]): PeerChain {
    return this.#lists?.authorities.chainOf(path);
  }

  /** @returns whether a list has one of them; or, where there are lists, nobody knows who they are */
  refuse(chain: PeerChain): boolean {
    if (this.#lists === undefined) return false;
    const { all } = this.#lists;
    return chain === undefined || chain.some((name) => all.some((list) => list.revokes(name)));
  }
}

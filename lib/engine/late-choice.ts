/**
 * The context of a connection that is chosen late: by an SNICallback, by name, or while the user is asked for an OCSP response.
 * Natively setKeyCert() before the choice is overruled by it, and after the choice takes its place, until OpenSSL goes on.
 *
 * Owner: its handshake, until Node is told. States: awaited -> made -> told.
 */
import { isAnotherCopys, type KeylessContext, keylessContext, NODE_CONTEXT } from './contexts.ts';

export class LateChoice {
  /** Who chooses has called back, and Node has not been told yet. */
  isMade = false;
  private readonly followers: (() => void)[] = [];
  private given: KeylessContext | undefined;

  /** @param set gives OpenSSL what setKeyCert() was given; @param context where that is keyless */
  follow(set: () => void, context?: KeylessContext): void {
    this.followers.push(set);
    this.given = context ?? this.given;
  }

  /**
   * @param chosen Node's native context; none: it is to be the one there is
   * @param initial the one there is; `undefined`: Node's
   * @returns whose keys the handshake comes to; `undefined`: nothing keyless, and it is Node's alone
   */
  context(chosen: unknown, initial: KeylessContext | undefined): KeylessContext | undefined {
    if (isAnotherCopys(chosen)) return undefined;
    const keyless = chosen ? keylessContext(chosen) : initial;
    if (this.given !== undefined) return this.given;
    // Where the chosen one is Node's, keys of the initial one are still there for other kinds of certificates.
    return keyless ?? (initial !== undefined || this.followers.length > 0 ? NODE_CONTEXT : undefined);
  }

  /** Node has taken what was chosen. */
  replace(): void {
    for (const set of this.followers) set();
  }
}

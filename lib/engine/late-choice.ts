/**
 * The context of a connection that is chosen late: by an SNICallback, by name, or while the user is asked for an OCSP response.
 * Natively setKeyCert() before the choice is overruled by it, and after the choice takes its place, until OpenSSL goes on.
 *
 * Owner: its handshake, until Node is told. States: awaited -> made -> told.
 */
import { KeylessError } from '../errors.ts';
import { asOurOwn } from './as-our-own.ts';
import { type KeylessContext, keylessContext, NODE_CONTEXT } from './contexts.ts';
import { chosenKeeper, isOfACopy, keeperOf, recipeOf } from './copies.ts';
import type { TlsHandle } from './tls-handle.ts';

/**
 * Of several copies of this package that have contexts here, the one that has made the connection's own sees to the handshake, or
 * that to which setKeyCert() has come; or else the one that has made the chosen context, and always where no other can make it.
 *
 * @returns `undefined`: none can; the one that might was loaded when the connection was there
 */
function whoseItIs(handle: TlsHandle): 'this' | 'another' | undefined {
  const chosen = handle.sni_context;
  const anyCanMakeIt = !isOfACopy(chosen) || recipeOf(chosen) !== undefined;
  return (anyCanMakeIt ? keeperOf(handle) : undefined) ?? chosenKeeper(handle, chosen);
}

function cameTooLate(): KeylessError {
  return new KeylessError(
    'ERR_KEYLESS_STATE',
    'The context that was chosen has keys of Node.js beside a PrivateKey, and was made by another copy of keyless-tls that was ' +
      'loaded while the handshake waited. Load that copy before there are connections.',
  );
}

export class LateChoice {
  /** Who chooses has called back, and Node has not been told yet. */
  isMade = false;
  private readonly followers: (() => void)[] = [];
  private given: KeylessContext | undefined;
  private readonly handle: TlsHandle;

  constructor(handle: TlsHandle) {
    this.handle = handle;
  }

  /** @param set gives OpenSSL what setKeyCert() was given; @param context where that is keyless */
  follow(set: () => void, context?: KeylessContext): void {
    this.followers.push(set);
    this.given = context ?? this.given;
  }

  /**
   * @param initial the one there is; `undefined`: Node's
   * @returns whose keys the handshake comes to; `undefined`: nothing keyless of ours, and it is not for us
   * @throws KeylessError ERR_KEYLESS_STATE: no copy of this package can see to it
   */
  context(initial: KeylessContext | undefined): KeylessContext | undefined {
    const whose = whoseItIs(this.handle);
    if (whose === undefined) throw cameTooLate();
    if (whose === 'another') return undefined;
    const chosen = this.chosen();
    const keyless = chosen ? keylessContext(chosen) : initial;
    if (this.given !== undefined) return this.given;
    // Where the chosen one is Node's, keys of the initial one are still there for other kinds of certificates.
    return keyless ?? (initial !== undefined || this.followers.length > 0 ? NODE_CONTEXT : undefined);
  }

  /** Node's native context, by which this copy can see to the handshake; none: it is to be the one there is. */
  private chosen(): unknown {
    const { sni_context } = this.handle;
    return asOurOwn(sni_context)?.context ?? sni_context;
  }

  /** Before Node is told. */
  makeOurs(): void {
    if (this.handle.sni_context) this.handle.sni_context = this.chosen();
  }

  /** Node has taken what was chosen. */
  replace(): void {
    for (const set of this.followers) set();
  }
}

/** Distinguished names, compared as OpenSSL does it. */
import { addonIfAny } from './addon.ts';

/**
 * Whether they are the same name: neither the case of letters counts, nor how many spaces there are, nor the type of string
 * (RFC 5280 §7.1).
 *
 * Without the addon nothing is but what is the same to the byte, which whoever asks knows without asking.
 *
 * @param one in DER, as is `other`
 */
export function isSameName(one: Uint8Array, other: Uint8Array): boolean {
  return addonIfAny()?.isSameName(one, other) ?? false;
}

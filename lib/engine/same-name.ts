/** Distinguished names, compared as OpenSSL does it. */
import { addon } from './addon.ts';

/**
 * Whether they are the same name: neither the case of letters counts, nor how many spaces there are, nor the type of string
 * (RFC 5280 §7.1).
 *
 * @param one in DER, as is `other`
 */
export function isSameName(one: Uint8Array, other: Uint8Array): boolean {
  return addon().isSameName(one, other);
}

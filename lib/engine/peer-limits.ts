/** Bounds on what peers of a server of Node's may send besides data, for which node:tls has no options. */
import { withLastContext } from './last-context.ts';

/**
 * A connection whose peer sends handshake messages and hardly any data fails (`ERR_SSL_TOO_MANY_KEY_UPDATES`), and of what is
 * in a peer's Certificate message nothing is kept but its own certificate and those by which OpenSSL has verified it. Without
 * the addon OpenSSL's bound of 100 KB holds, all is kept while the connection lasts, and any number of KeyUpdates is read.
 *
 * @param certificateBytes of that message: with more of them the handshake fails
 * @param make makes one context, or has Node make it, for the connections to come
 */
export function withPeerLimits<T>(certificateBytes: number, make: () => T): T {
  return withLastContext(make, (native) => native.limitPeers(certificateBytes));
}

/** The name that a resumed connection of TLS 1.2 is for. */
import { withLastContext } from './last-context.ts';

/**
 * Resumed connections of TLS 1.2 have their `servername`: that of the connection which brought the session. On Node.js 20 and 26 it
 * is `false` by itself, and without the addon.
 *
 * @param make makes one context, or has Node make it, for the connections to come
 */
export function withSessionNames<T>(make: () => T): T {
  return withLastContext(make, (native) => native.nameSessions());
}

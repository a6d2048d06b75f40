/** The files that a proxy may have open: connections of clients, and those to backends. */
import type { Backend } from '../proxy/backend.ts';
import { KEPT_CONNECTIONS } from '../proxy/backend.ts';
import { MOST_SESSIONS } from '../proxy/backend-sessions.ts';
import { maxOpenFiles } from './open-files.ts';

/** A connection's own, and that of its backend. */
const FILES_EACH = 2;
/** Twice as many as a connection of HTTP/2 may ask for at once: alone, it gets all of them. */
const LEAST_STOCK = 256;
/** Of all files, where there are few. */
const MOST_OF_FILES = 1 / 4;

export interface ProxyFiles {
  /** Connections of HTTP/1.1 to backends, beyond one for each connection of a client. */
  readonly stock: number;
  readonly needed: number;
}

/** Connections to a backend that none of a client may be behind. */
function extra({ protocol }: Backend): number {
  if (protocol === 'http' || protocol === 'https') return KEPT_CONNECTIONS;
  return protocol === 'h2' || protocol === 'h2c' ? MOST_SESSIONS : 0;
}

/** @param limit of open files; `undefined`: none is known */
export function filesOf(
  maxConnections: number,
  backends: readonly Backend[],
  limit = maxOpenFiles() ?? Number.POSITIVE_INFINITY,
): ProxyFiles {
  const wished = Math.max(LEAST_STOCK, Math.ceil(maxConnections / 4));
  const stock = Math.min(wished, Math.floor(limit * MOST_OF_FILES));
  const used = backends.some(({ agent }) => agent !== undefined) ? stock : 0;
  const extras = backends.reduce((sum, backend) => sum + extra(backend), 0);
  return { stock, needed: maxConnections * FILES_EACH + used + extras };
}

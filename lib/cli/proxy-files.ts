/** The files that a proxy may have open: connections of clients, and those to backends. */
import { type Backend, isHttp, KEPT_CONNECTIONS } from '../proxy/backend.ts';
import { maxOpenFiles } from './open-files.ts';

/** A connection's own, and that of its backend. */
const FILES_EACH = 2;
/** Twice as many as a connection of HTTP/2 may ask for at once: alone, it gets all of them. */
const LEAST_STOCK = 256;
/** Of all files, where there are few. */
const MOST_OF_FILES = 1 / 4;

export interface ProxyFiles {
  /** Connections to backends of HTTP, beyond one for each connection of a client. */
  readonly stock: number;
  readonly needed: number;
}

/** @param limit of open files; `undefined`: none is known */
export function filesOf(
  maxConnections: number,
  backends: readonly Backend[],
  limit = maxOpenFiles() ?? Number.POSITIVE_INFINITY,
): ProxyFiles {
  const wished = Math.max(LEAST_STOCK, Math.ceil(maxConnections / 4));
  const stock = Math.min(wished, Math.floor(limit * MOST_OF_FILES));
  const ofHttp = backends.filter(isHttp).length;
  const used = ofHttp === 0 ? 0 : stock;
  return { stock, needed: maxConnections * FILES_EACH + used + ofHttp * KEPT_CONNECTIONS };
}

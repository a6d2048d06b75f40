/** Many connections to a proxy on which nothing happens, held by a process of their own. */
import { once } from 'node:events';
import tls from 'node:tls';
import { fileURLToPath } from 'node:url';
import { mostConnections, raiseLimit } from '../lib/cli/bench/open-files.ts';
import { type Running, startRole } from './proxies.ts';

const SELF = fileURLToPath(import.meta.url);
const BATCH = 100;
/** With fewer, what is shared would count. */
const FEWEST = 100;
/** Open for each connection: with bytes for a backend there are two. */
const FILES = { tcp: 2, http: 1 } as const;
export const PROTOCOLS = ['tcp', 'http'] as const;

export interface Crowd extends Running {
  readonly held: number;
  readonly lost: number;
}

interface Plan {
  readonly port: number;
  readonly protocol: 'tcp' | 'http';
  readonly count: number;
}

/**
 * @returns as many as are wanted, or as the limit of open files leaves a proxy
 * @throws that it leaves too few, and what to do
 */
export function idleCount(protocol: Plan['protocol'], wanted: number): number {
  const files = FILES[protocol];
  const count = Math.min(wanted, Math.floor(mostConnections() / files));
  if (count >= Math.min(wanted, FEWEST)) return count;
  throw new Error(
    `The limit of open files leaves no room for ${FEWEST} idle connections over ${protocol}: ${raiseLimit(wanted * files)}`,
  );
}

/**
 * Resolves when all are connected: over HTTP, when each was answered once.
 *
 * @throws (rejects) that none is
 */
export async function holdIdle(port: number, protocol: Plan['protocol'], count: number): Promise<Crowd> {
  const plan = { port, protocol, count };
  const what = 'The crowd of idle connections';
  const { child, told } = await startRole<{ held: number; lost: number }>(SELF, '--crowd', what, plan);
  if (told.held === 0) throw new Error(`None of ${count} idle connections got through.`);
  return { child, ...told };
}

/** @returns `undefined`: it did not get through */
async function idle({ port, protocol }: Plan): Promise<tls.TLSSocket | undefined> {
  const socket = tls.connect({ port, servername: 'localhost', rejectUnauthorized: false });
  try {
    await once(socket, 'secureConnect');
    if (protocol === 'http') {
      socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
      await once(socket, 'data');
    }
  } catch {
    return undefined;
  }
  // One that is lost later ends nothing: it is counted as lost.
  return socket.on('error', () => undefined).resume();
}

async function crowd(plan: Plan): Promise<void> {
  const sockets: (tls.TLSSocket | undefined)[] = [];
  while (sockets.length < plan.count) {
    const batch = Array.from({ length: Math.min(BATCH, plan.count - sockets.length) }, () => idle(plan));
    sockets.push(...(await Promise.all(batch)));
  }
  const held = sockets.filter((socket) => socket?.writable).length;
  process.send?.({ held, lost: plan.count - held });
}

if (process.argv[1] === SELF) {
  process.once('disconnect', () => process.exit());
  process.once('message', (plan) => void crowd(plan as Plan));
}

/** Many connections to a proxy on which nothing happens, held by a process of their own. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import tls from 'node:tls';
import { fileURLToPath } from 'node:url';
import { type Running, startRole } from './proxies.ts';

const SELF = fileURLToPath(import.meta.url);
const BATCH = 100;
/** What a proxy has open beside its connections, and to spare. */
const OTHER_FILES = 100;

export interface Crowd extends Running {
  readonly held: number;
  readonly lost: number;
}

interface Plan {
  readonly port: number;
  readonly protocol: 'tcp' | 'http';
  readonly count: number;
}

/** How many connections the limit of open files leaves a proxy: with bytes for a backend, each is two (proc(5)). */
export function mostIdle(protocol: Plan['protocol']): number {
  const limits = readFileSync('/proc/self/limits', 'utf8');
  const files = Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? Infinity) - OTHER_FILES;
  return protocol === 'tcp' ? Math.floor(files / 2) : files;
}

/** Resolves when all are connected: over HTTP, when each was answered once. */
export async function holdIdle(port: number, protocol: Plan['protocol'], count: number): Promise<Crowd> {
  const plan = { port, protocol, count };
  const what = 'The crowd of idle connections';
  const { child, told } = await startRole<{ held: number; lost: number }>(SELF, '--crowd', what, plan);
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

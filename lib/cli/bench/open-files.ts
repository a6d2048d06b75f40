/** How many files, sockets among them, a process may have open (proc(5)). Node.js raises its soft limit to the hard one. */
import { readFileSync } from 'node:fs';

/** What a process of the benchmark has open beside its connections, and to spare. */
const OTHERS = 100;

/** @returns Infinity where the system does not say */
export function openFilesLimit(read = () => readFileSync('/proc/self/limits', 'utf8')): number {
  try {
    const limit = /^Max open files\s+(\S+)/m.exec(read())?.[1];
    return limit === undefined || limit === 'unlimited' ? Infinity : Number(limit);
  } catch {
    return Infinity;
  }
}

/** @returns connections that one process can have under that limit */
export function mostConnections(limit = openFilesLimit()): number {
  return Math.max(0, limit - OTHERS);
}

/** What to do for so many connections. */
export function raiseLimit(connections: number): string {
  return `ulimit -n ${connections + OTHERS}`;
}

/** Which process has which core, where there are enough: the measured one shares its own with nobody. */
import { execFileSync } from 'node:child_process';
import { availableParallelism } from 'node:os';

const CORES = availableParallelism();

export type Role = 'edge' | 'key server' | 'clients' | 'anywhere';

/**
 * With two cores the edge has the first, all else the second; from four on the clients have what the edge and the key
 * server leave.
 *
 * @returns taskset's list of cores; `undefined`: any
 */
export function coresOf(role: Role, cores = CORES): string | undefined {
  if (cores < 2 || role === 'anywhere') return undefined;
  if (role === 'edge') return '0';
  if (cores < 4) return '1';
  return role === 'key server' ? '1' : `2-${cores - 1}`;
}

/** All threads of a process. @returns whether it has been done */
export function pin(pid: number | undefined, role: Role): boolean {
  const list = coresOf(role);
  if (pid === undefined || list === undefined) return false;
  return setAffinity(pid, list);
}

function setAffinity(pid: number, list: string): boolean {
  try {
    execFileSync('taskset', ['-a', '-c', '-p', list, String(pid)], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** @returns the command line that runs a program where this role has its cores */
export function onCoresOf(role: Role, command: string, args: readonly string[]): [string, readonly string[]] {
  const list = coresOf(role);
  return list === undefined ? [command, args] : ['taskset', ['-c', list, command, ...args]];
}

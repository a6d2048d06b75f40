/** Which process has which core, where there are enough: the measured one shares its own with nobody. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** `edge and key server`: the cores of both, for processes that do the work of both. */
export type Role = 'edge' | 'key server' | 'clients' | 'edge and key server' | 'anywhere';

/** Core numbers by role; `undefined`: processes run where the system lets them, and {@link Placement.why} says why. */
export interface Placement {
  readonly cores?: Readonly<Record<'edge' | 'key server' | 'clients', readonly number[]>>;
  readonly why?: string;
}

/** @param list as in `0-2,5` (cpuset(7)) */
export function coresIn(list: string): number[] {
  return list
    .trim()
    .split(',')
    .flatMap((part) => {
      const [first = Number.NaN, last = first] = part.split('-').map(Number);
      return Array.from({ length: last - first + 1 }, (_, index) => first + index);
    });
}

/** @returns the cores this process may use (proc(5)); none: this system does not say */
function allowedCores(): number[] {
  try {
    const status = readFileSync('/proc/self/status', 'utf8');
    return coresIn(/^Cpus_allowed_list:\s*(.+)$/m.exec(status)![1]!);
  } catch {
    return [];
  }
}

function hasTaskset(core = 0): boolean {
  try {
    execFileSync('taskset', ['-c', String(core), 'true'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/**
 * With two cores the edge has the first, all else the second; from three on the clients have what the edge and the key
 * server leave.
 */
export function placementOf(allowed: readonly number[], taskset: boolean): Placement {
  const [first, second, ...others] = allowed;
  if (first === undefined) return { why: 'this system does not say which cores there are' };
  if (second === undefined) return { why: 'there is one core' };
  if (!taskset) return { why: 'there is no taskset command that works' };
  const clients = others.length === 0 ? [second] : others;
  return { cores: { edge: [first], 'key server': [second], clients } };
}

/** Core numbers. */
export const ALLOWED = allowedCores();
/** Of this process and this system. */
export const PLACEMENT = placementOf(ALLOWED, hasTaskset(ALLOWED[0]));

/** @returns cores; `undefined`: any */
export function coresOf(role: Role, { cores }: Placement = PLACEMENT): readonly number[] | undefined {
  if (cores === undefined || role === 'anywhere') return undefined;
  return role === 'edge and key server' ? [...cores.edge, ...cores['key server']] : cores[role];
}

/** Whether two processes may run on the same core. */
export function shareCores(one: Role, other: Role, placement = PLACEMENT): boolean {
  const [first, second] = [coresOf(one, placement), coresOf(other, placement)];
  return first === undefined || second === undefined || first.some((core) => second.includes(core));
}

/** In words. */
export function describe({ cores, why }: Placement): string {
  if (cores === undefined) return `no process has a core of its own (${why})`;
  const core = (role: 'edge' | 'key server' | 'clients') => cores[role].join(',');
  return `edge on core ${core('edge')}, key server on ${core('key server')}, clients on ${core('clients')}`;
}

/** All threads of a process. @returns whether it is where it belongs: it may be that there is no such place */
export function pin(pid: number | undefined, role: Role): boolean {
  const cores = coresOf(role);
  if (pid === undefined || cores === undefined) return true;
  try {
    execFileSync('taskset', ['-a', '-c', '-p', cores.join(','), String(pid)], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** @returns the command line that runs a program where this role has its cores */
export function onCoresOf(role: Role, command: string, args: readonly string[]): [string, readonly string[]] {
  const cores = coresOf(role);
  return cores === undefined ? [command, args] : ['taskset', ['-c', cores.join(','), command, ...args]];
}

/** What Linux says of a process (proc(5)). */
import { readFileSync } from 'node:fs';
import { coresIn } from '../../lib/cli/bench/cores.ts';

/** @returns the cores it may run on */
export function allowedCoresOf(pid: number): number[] {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return coresIn(/^Cpus_allowed_list:\s*(.+)$/m.exec(status)![1]!);
}

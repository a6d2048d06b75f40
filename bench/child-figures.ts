/** What a process has used, and holds, as Linux says (proc(5)). */
import { readFileSync } from 'node:fs';
import { cpuMsOf } from '../lib/cli/bench/process-figures.ts';

/** User and system time, seconds. */
export function cpuOf(pid: number): number {
  return (cpuMsOf(pid) ?? Number.NaN) / 1000;
}

/** Megabytes. */
export function residentOf(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024;
}

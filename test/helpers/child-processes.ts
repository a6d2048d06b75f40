/** Processes that are not the test's own to wait for, as /proc tells of them (Linux). */
import { readdirSync, readFileSync } from 'node:fs';

export function childrenOf(pid: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((each) => {
      try {
        return readFileSync(`/proc/${each}/stat`, 'utf8').split(') ').at(-1)?.split(' ')[1] === String(pid);
      } catch {
        return false;
      }
    });
}

function stateOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)![0]!;
  } catch {
    return 'X';
  }
}

/** Resolves when the process is gone; the kernel tells nobody but its parent. */
export async function ended(pid: number): Promise<void> {
  while (!['Z', 'X'].includes(stateOf(pid))) await new Promise(setImmediate);
}

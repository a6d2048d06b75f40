/** Whether the system lets this process have as many files open as its connections need. */
import { readFileSync } from 'node:fs';
import type { Print } from './event-lines.ts';

/** What a process has open beside its connections, and to spare. */
const OTHER_FILES = 100;

/** `undefined`: the system does not tell, or sets no limit (proc(5)). Node.js has raised the soft limit to the hard one. */
export function maxOpenFiles(): number | undefined {
  try {
    const digits = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1];
    return digits === undefined ? undefined : Number(digits);
  } catch {
    return undefined;
  }
}

/** @param files that all connections together may need */
export function tellOfFewFiles(files: number, print: Print): void {
  const limit = maxOpenFiles();
  const needed = files + OTHER_FILES;
  if (limit === undefined || limit >= needed) return;
  print('limit-problem', {
    'open-files': limit,
    needed,
    reason: 'connections beyond it are reset: raise the limit (ulimit -n), or lower --max-connections',
  });
}

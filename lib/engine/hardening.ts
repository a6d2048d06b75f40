/** What a process that holds keys and nothing else can give up. */
import { addon } from './addon.ts';

const NOT_DUMPABLE = 1;
const MEMORY_LOCKED = 2;
const NO_NETWORK = 4;
const ENDS_WITH_PARENT = 8;

export interface Hardening {
  /** No core file, no debugger, no /proc/PID/mem for others of the same user. */
  readonly notDumpable: boolean;
  /** Nothing is swapped out; only where RLIMIT_MEMLOCK is unlimited. */
  readonly memoryLocked: boolean;
  /** New sockets, programs and other processes' memory are refused. */
  readonly noNetwork: boolean;
  /** Killed with the thread that started it, also when it is stopped. */
  readonly endsWithParent: boolean;
}

/** Irrevocable, for the whole process; Linux only. @returns what was done */
export function hardenProcess(): Hardening {
  const done = addon().hardenProcess();
  return {
    notDumpable: (done & NOT_DUMPABLE) !== 0,
    memoryLocked: (done & MEMORY_LOCKED) !== 0,
    noNetwork: (done & NO_NETWORK) !== 0,
    endsWithParent: (done & ENDS_WITH_PARENT) !== 0,
  };
}

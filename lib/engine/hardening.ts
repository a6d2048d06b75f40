/** What a process that holds keys and nothing else can give up. */
import { addon } from './addon.ts';

const NOT_DUMPABLE = 1;
const MEMORY_LOCKED = 2;
const FEW_SYSTEM_CALLS = 4;
const ENDS_WITH_PARENT = 8;
const NO_NEW_DESCRIPTORS = 16;
const NO_PRIVILEGES = 32;

export interface Hardening {
  /** No core file, no debugger, no /proc/PID/mem for others of the same user. */
  readonly notDumpable: boolean;
  /** Nothing is swapped out; only where RLIMIT_MEMLOCK is unlimited. */
  readonly memoryLocked: boolean;
  /** What is left: memory, threads, time, and the descriptors that are open (x64 and arm64). */
  readonly fewSystemCalls: boolean;
  /** Killed with the process or thread that started it, also when it is stopped. */
  readonly endsWithParent: boolean;
  /** Neither files nor sockets are opened, by whatever way. */
  readonly noNewDescriptors: boolean;
  /** It is not root any more, or never was. */
  readonly noPrivileges: boolean;
}

/** No signal that a process may ignore does anything here from now on: none ends it, none opens Node's debugger. */
export function ignoreSignals(): void {
  addon().ignoreSignals();
}

/** Irrevocable, for the whole process; Linux only. @returns what was done */
export function hardenProcess(): Hardening {
  const done = addon().hardenProcess();
  return {
    notDumpable: (done & NOT_DUMPABLE) !== 0,
    memoryLocked: (done & MEMORY_LOCKED) !== 0,
    fewSystemCalls: (done & FEW_SYSTEM_CALLS) !== 0,
    endsWithParent: (done & ENDS_WITH_PARENT) !== 0,
    noNewDescriptors: (done & NO_NEW_DESCRIPTORS) !== 0,
    noPrivileges: (done & NO_PRIVILEGES) !== 0,
  };
}

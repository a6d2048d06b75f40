/** What Linux says of another process: CPU time, memory, children (proc(5)). `undefined` where a system does not say. */
import { readdirSync, readFileSync } from 'node:fs';

/** Fields of /proc/PID/stat after the name in parentheses. */
const PARENT = 1;
const USER_TICKS = 11;
const SYSTEM_TICKS = 12;
/** Linux's USER_HZ is 100. */
const TICK_MS = 10;
const NANOSECONDS_PER_MS = 1e6;

function statOf(pid: number | string): number[] {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number);
}

function ticksOf(pid: number): number {
  const fields = statOf(pid);
  return (fields[USER_TICKS]! + fields[SYSTEM_TICKS]!) * TICK_MS;
}

/** Milliseconds; threads that have ended are not among them. */
interface Thread {
  readonly ran: number;
  /** It could have run, and others did. */
  readonly waited: number;
}

function threadOf(pid: number, thread: number | string): Thread {
  const fields = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ');
  const [ran = Number.NaN, waited = Number.NaN] = fields.map((field) => Number(field) / NANOSECONDS_PER_MS);
  return { ran, waited };
}

/** In nanoseconds, where the kernel counts them. */
function scheduledOf(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  return threads.reduce((sum, thread) => sum + threadOf(pid, thread).ran, 0);
}

/** Milliseconds since the start of a process. */
export interface Scheduling {
  /** All its threads. */
  readonly ran: number;
  /** Its main thread. */
  readonly mainRan: number;
  readonly mainWaited: number;
}

/** @returns `undefined`: it has ended, or the kernel keeps no schedstat */
export function schedulingOf(pid: number): Scheduling | undefined {
  try {
    const { ran, waited } = threadOf(pid, pid);
    return { ran: scheduledOf(pid), mainRan: ran, mainWaited: waited };
  } catch {
    return undefined;
  }
}

const STOLEN = 8;

/** @returns milliseconds that the host of this machine has given to others, by core */
export function stolenMs(): ReadonlyMap<number, number> {
  try {
    const lines = readFileSync('/proc/stat', 'utf8').matchAll(/^cpu(\d+) .*$/gm);
    return new Map(
      [...lines].map(([line, core]) => [Number(core), Number(line.split(' ')[STOLEN]) * TICK_MS]),
    );
  } catch {
    return new Map();
  }
}

/** @returns CPU milliseconds of all its threads; where the kernel keeps no schedstat, in steps of 10 */
export function cpuMsOf(pid: number | undefined): number | undefined {
  if (pid === undefined) return undefined;
  for (const read of [scheduledOf, ticksOf]) {
    try {
      return read(pid);
    } catch {
      // The next one, where the kernel does not know this one.
    }
  }
  return undefined;
}

/** @returns kilobytes of it that are not in memory, but on a disk or compressed */
export function swappedOf(pid: number): number | undefined {
  try {
    const swapped = /^VmSwap:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return swapped === undefined ? undefined : Number(swapped);
  } catch {
    return undefined;
  }
}

/** @returns the ids of the processes that a process started */
export function childrenOf(pid: number): number[] {
  try {
    const threads = readdirSync(`/proc/${pid}/task`);
    const lists = threads.map((thread) => readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8'));
    return lists.flatMap((list) => list.split(' ').filter(Boolean)).map(Number);
  } catch {
    return allWithParent(pid);
  }
}

/** Where the kernel keeps no lists of children; looks at every process there is. */
function allWithParent(pid: number): number[] {
  try {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((each) => parentOf(each) === pid);
  } catch {
    return [];
  }
}

/** @returns `undefined`: it has ended meanwhile */
function parentOf(pid: number): number | undefined {
  try {
    return statOf(pid)[PARENT];
  } catch {
    return undefined;
  }
}

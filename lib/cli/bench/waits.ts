/**
 * Was the benchmark alone on its cores? What kept its processes from running while something was measured: other programs, as
 * the kernel counts how long a thread could have run and did not (proc(5), schedstat), and other guests of the same host
 * (steal time).
 */
import { ALLOWED, PLACEMENT, type Role, shareCores } from './cores.ts';
import { type Scheduling, schedulingOf, stolenMs } from './process-figures.ts';

/** A process of the benchmark. */
export interface Own {
  readonly pid: number;
  readonly role: Role;
}

export const SIDES = ['edge', 'key server', 'clients'] as const;
export type Side = (typeof SIDES)[number];

/** Shares of the time, 0 to 1; `undefined`: the system does not say. `standstill`: in which the benchmark itself did not go on. */
export type Waits = Readonly<Record<Side | 'stolen' | 'standstill', number | undefined>>;

export interface Moment {
  /** Milliseconds. */
  readonly at: number;
  readonly stolen: number | undefined;
  readonly processes: readonly (Own & Partial<Scheduling>)[];
}

export function momentOf(own: readonly Own[]): Moment {
  const byCore = stolenMs();
  const stolen =
    byCore.size === 0 ? undefined : ALLOWED.reduce((sum, core) => sum + (byCore.get(core) ?? 0), 0);
  const processes = own.map(({ pid, role }) => ({ pid, role, ...schedulingOf(pid) }));
  return { at: performance.now(), stolen, processes };
}

const LOOK_MS = 100;
/** A process that is only waiting looks again before that, on a machine that is busy, too. */
const LATE_MS = 500;

/**
 * Whether this process stands still, while it has nothing to do but to wait: stopped, and its children with it (Ctrl-Z, a container that is
 * frozen), which the kernel counts nowhere, and clocks go on.
 *
 * @returns to be called at the end: for how many milliseconds it did
 */
export function watchOwnStandstill(): () => number {
  let [last, stood] = [performance.now(), 0];
  const look = () => {
    const now = performance.now();
    if (now - last > LATE_MS) stood += now - last;
    last = now;
  };
  const timer = setInterval(look, LOOK_MS);
  return () => {
    clearInterval(timer);
    look();
    return stood;
  };
}

type Lapse = Own & Scheduling;

/** Of those that were there all the time. */
function lapsesOf(before: Moment, after: Moment): Lapse[] {
  return after.processes.flatMap(({ pid, role, ran, mainRan, mainWaited }) => {
    const then = before.processes.find((each) => each.pid === pid);
    if (ran === undefined || mainRan === undefined || mainWaited === undefined) return [];
    if (then?.ran === undefined || then.mainRan === undefined || then.mainWaited === undefined) return [];
    const since = {
      ran: ran - then.ran,
      mainRan: mainRan - then.mainRan,
      mainWaited: mainWaited - then.mainWaited,
    };
    return [{ pid, role, ...since }];
  });
}

/** Milliseconds that neither its own threads nor other processes of the benchmark, on the same cores, explain. */
function unexplained(one: Lapse, all: readonly Lapse[], placement = PLACEMENT): number {
  const others = all.filter((each) => each !== one && shareCores(one.role, each.role, placement));
  const explained = others.reduce((sum, { ran }) => sum + ran, one.ran - one.mainRan);
  return Math.max(0, one.mainWaited - explained);
}

/** @param edges processes that are measured, whatever their role */
export function waitsBetween(
  before: Moment,
  after: Moment,
  edges: readonly number[] = [],
  placement = PLACEMENT,
): Omit<Waits, 'standstill'> {
  const all = lapsesOf(before, after);
  const length = after.at - before.at;
  const longest = (which: readonly Lapse[]) =>
    which.length === 0
      ? undefined
      : Math.max(...which.map((one) => unexplained(one, all, placement))) / length;
  const of = (role: Role) => longest(all.filter((each) => each.role === role && !edges.includes(each.pid)));
  const stolen =
    after.stolen === undefined || before.stolen === undefined
      ? undefined
      : (after.stolen - before.stolen) / (length * Math.max(1, ALLOWED.length));
  return {
    edge: longest(all.filter(({ pid }) => edges.includes(pid))),
    'key server': of('key server'),
    clients: of('clients'),
    stolen,
  };
}

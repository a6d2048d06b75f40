/**
 * All processes of clients there are, as one: with one alone, an edge that is faster than Node.js's own clients would be measured at
 * their rate.
 */
import { availableParallelism } from 'node:os';
import type { ClientPlan } from './client-plans.ts';
import { type ClientRun, Clients } from './clients.ts';
import { PLACEMENT, type Placement } from './cores.ts';

/** A handshake costs a client up to twice what it costs a native edge. */
const FOR_EACH_EDGE = 3;
/** Each of them takes memory and time to start. */
const MOST = 8;
/** Where processes have no cores of their own: edge and key server take one each. */
const OTHERS = 2;

/** @returns how many have a core of their own */
export function processesFor({ cores }: Placement, all = availableParallelism()): number {
  return Math.min(MOST, Math.max(1, cores?.clients.length ?? all - OTHERS));
}

/** @returns processes that a plan is divided among, if there are so many */
export function neededFor(plan: ClientPlan): number {
  if (plan.kind === 'closed') return Math.min(plan.concurrent, FOR_EACH_EDGE * plan.ports.length);
  return plan.kind === 'open' ? FOR_EACH_EDGE : 1;
}

/** @returns what each of so many does; together they do what the plan says (Poisson processes add up to one) */
export function divided(plan: ClientPlan, processes: number): ClientPlan[] {
  return Array.from({ length: processes }, (_, index) => {
    if (plan.kind === 'open') return { ...plan, perSecond: plan.perSecond / processes };
    if (plan.kind !== 'closed') return plan;
    const more = index < plan.concurrent % processes ? 1 : 0;
    return { ...plan, concurrent: Math.floor(plan.concurrent / processes) + more };
  });
}

/** What they say together. */
export interface CrewRun extends ClientRun {
  /** That took part. */
  readonly processes: number;
}

const largest = (values: readonly number[]) => Math.max(...values);

/** The busiest of them is the one that may limit. */
export function together(runs: readonly ClientRun[]): CrewRun {
  const sum = (figure: 'handshakes' | 'failed' | 'dropped' | 'cpuMs') =>
    runs.reduce((total, each) => total + each[figure], 0);
  const byKernel = runs.map(({ utilisationByKernel }) => utilisationByKernel);
  return {
    processes: runs.length,
    ...{ handshakes: sum('handshakes'), failed: sum('failed'), dropped: sum('dropped'), cpuMs: sum('cpuMs') },
    reason: runs.find(({ reason }) => reason !== undefined)?.reason,
    wallMs: largest(runs.map(({ wallMs }) => wallMs)),
    latencies: runs.flatMap(({ latencies }) => latencies),
    utilisation: largest(runs.map(({ utilisation }) => utilisation)),
    utilisationByKernel: byKernel.some((value) => value === undefined)
      ? undefined
      : largest(byKernel as number[]),
  };
}

/** Owner: the workshop; each process is ended as one of its own. */
export class Crew {
  readonly members: readonly Clients[];

  constructor(processes = processesFor(PLACEMENT)) {
    this.members = Array.from({ length: processes }, () => new Clients());
  }

  /** Rejects when one of them ends. */
  get gone(): Promise<never> {
    return Promise.race(this.members.map(({ gone }) => gone));
  }

  /**
   * @param processes default: as many as the plan needs, and there are
   * @throws (rejects) KeylessError ERR_KEYLESS_HANDSHAKE if a connection failed: nothing was measured then
   */
  async run(plan: ClientPlan, processes = neededFor(plan)): Promise<CrewRun> {
    const plans = divided(plan, Math.min(processes, this.members.length));
    return together(await Promise.all(plans.map((each, index) => this.members[index]!.run(each))));
  }
}

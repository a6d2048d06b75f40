/** One round of one contestant: what its handshakes cost each process, and how long they took. */
import type { ClosedPlan } from './client-plans.ts';
import { type Counted, countedBetween, dueOf } from './counted.ts';
import type { CrewRun } from './crew.ts';
import type { Edge } from './edge.ts';
import type { EdgeFigures } from './edge-process.ts';
import { median, percentile } from './statistics.ts';
import type { Waits } from './waits.ts';
import type { Workshop } from './workshop.ts';

/** CPU times are milliseconds for one handshake. */
export interface Sample extends Counted {
  readonly handshakes: number;
  readonly edgeCpuMs: number;
  /** `undefined`: this system does not say. */
  readonly keyServerCpuMs: number | undefined;
  readonly clientCpuMs: number;
  readonly perSecond: number;
  /** Milliseconds from connect to the end of the handshake, seen by clients. */
  readonly medianMs: number;
  readonly p99Ms: number;
  readonly clientProcesses: number;
  /** CPU of the busiest process of clients over the time: near 1, it limits all wall times. */
  readonly clientUtilisation: number;
  /** The same by the kernel's account, a check of it. */
  readonly clientUtilisationByKernel: number | undefined;
  /** What kept edge, key server and clients from running. */
  readonly waits: Waits;
}

/** Adds up what several edges say. */
async function figuresOf(edges: readonly Edge[]): Promise<EdgeFigures> {
  const all = await Promise.all(edges.map((edge) => edge.figures()));
  const sum = (name: keyof EdgeFigures) => all.reduce((total, each) => total + each[name], 0);
  const names = Object.keys(all[0] ?? {}) as (keyof EdgeFigures)[];
  return Object.fromEntries(names.map((name) => [name, sum(name)])) as unknown as EdgeFigures;
}

const difference = (after?: number, before?: number) =>
  after === undefined || before === undefined ? undefined : after - before;

interface Moment {
  readonly edge: EdgeFigures;
  readonly keyServerCpuMs: number | undefined;
}

async function momentOf(workshop: Workshop, edges: readonly Edge[]): Promise<Moment> {
  const edge = await figuresOf(edges);
  return { edge, keyServerCpuMs: workshop.keyServerCpuMs() };
}

function sampleOf(
  before: Moment,
  after: Moment,
  clients: CrewRun,
  waits: Waits,
): Omit<Sample, keyof Counted> {
  const { handshakes, wallMs, cpuMs, latencies } = clients;
  const keyServerCpuMs = difference(after.keyServerCpuMs, before.keyServerCpuMs);
  return {
    handshakes,
    edgeCpuMs: (after.edge.cpuMs - before.edge.cpuMs) / handshakes,
    keyServerCpuMs: keyServerCpuMs === undefined ? undefined : keyServerCpuMs / handshakes,
    clientCpuMs: cpuMs / handshakes,
    perSecond: (handshakes * 1000) / wallMs,
    medianMs: median(latencies),
    p99Ms: percentile(latencies, 0.99),
    clientProcesses: clients.processes,
    clientUtilisation: clients.utilisation,
    clientUtilisationByKernel: clients.utilisationByKernel,
    waits,
  };
}

/**
 * @param edges whose ports the plan names
 * @param processes of clients; default: as many as it needs, and there are
 * @throws (rejects) KeylessError ERR_KEYLESS_HANDSHAKE if one failed
 */
export async function takeSample(
  workshop: Workshop,
  edges: readonly Edge[],
  plan: Omit<ClosedPlan, 'kind'>,
  processes?: number,
): Promise<Sample> {
  const before = await momentOf(workshop, edges);
  const [clients, waits] = await workshop.watched(edges, () =>
    workshop.clients.run({ ...plan, kind: 'closed', servers: edges.map(({ pid }) => pid) }, processes),
  );
  const after = await momentOf(workshop, edges);
  const counted = countedBetween(before.edge, after.edge, clients.handshakes, dueOf(edges, plan.resume));
  return { ...sampleOf(before, after, clients, waits), ...counted };
}

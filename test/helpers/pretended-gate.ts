/** Loaded before a script of bench/ that has a workshop (`--import`): its edges are none, and cost what the environment says ({@link Pretended}). */
import { rmSync } from 'node:fs';
import type { ClosedPlan } from '../../lib/cli/bench/client-plans.ts';
import type { EdgeRequest } from '../../lib/cli/bench/edge-process.ts';
import { makeSiteFiles, type SiteFiles } from '../../lib/cli/bench/sites.ts';
import { type EdgeName, Workshop } from '../../lib/cli/bench/workshop.ts';
import { QUIET } from './bench.ts';

/** The variable `PRETENDED`, as JSON. */
export interface Pretended {
  /** Of a handshake of any edge but the native one, in native ones: of each pair of processes; the last is that of all others. */
  readonly costs: readonly number[];
  /** Share of the time that the edge waits for its core. */
  readonly waiting?: number;
  /** Whether what an edge wastes is not seen. */
  readonly blind?: boolean;
}

const { costs, waiting = 0, blind = false }: Pretended = JSON.parse(process.env.PRETENDED ?? '');
const HANDSHAKES = 10;
const NAMES = ['native', 'remote', 'pinging', 'unverified', 'local'] as const satisfies readonly EdgeName[];
type Name = (typeof NAMES)[number];
/** A server for each key, of each edge. */
const portsOf = (name: Name) => {
  const first = 1 + 2 * NAMES.indexOf(name);
  return { 'P-256': first, 'RSA-2048': first + 1 };
};
/** A native handshake with RSA costs twice one with P-256, which is the unit of both budgets. */
const RSA_COSTS = 2;

let [generation, wastedMs] = [0, 0];

/** @returns CPU milliseconds of a handshake */
function costOf(name: Name, port: number): number {
  if (name === 'native') return port === portsOf(name)['RSA-2048'] ? RSA_COSTS : 1;
  return costs[Math.min(generation, costs.length - 1)]! + (blind ? 0 : wastedMs);
}

function edgeOf(name: Name) {
  const counts = { cpuMs: 0, handshakes: 0, resumed: 0, operations: 0 };
  return {
    ports: portsOf(name),
    asks: name !== 'native',
    figures: async ({ burnMs = wastedMs }: EdgeRequest = {}) => {
      wastedMs = burnMs;
      return { ...counts };
    },
    serve: (port: number) => {
      counts.cpuMs += HANDSHAKES * costOf(name, port);
      counts.handshakes += HANDSHAKES;
      if (name !== 'native') counts.operations += HANDSHAKES;
    },
  };
}

const edges = new Map(NAMES.map((name) => [name, edgeOf(name)]));

const pretended = {
  edge: async (name: Name) => edges.get(name),
  planOf: (name: Name) => name,
  startEdge: async (name: Name) => ({ ...edges.get(name)!, end: () => undefined }),
  warmUp: async () => undefined,
  run: async () => '',
  renew: () => {
    generation += 1;
    wastedMs = 0;
  },
  watched: async (_: unknown, work: () => Promise<unknown>) => [await work(), { ...QUIET, edge: waiting }],
  keyServerCpuMs: () => 0,
  clients: {
    run: async ({ ports }: ClosedPlan) => {
      const [port = 0] = ports;
      [...edges.values()].find(({ ports: own }) => Object.values<number>(own).includes(port))?.serve(port);
      return { handshakes: HANDSHAKES, wallMs: 1, cpuMs: 1, latencies: [1], processes: 1, utilisation: 0.5 };
    },
  },
  during: (work: Promise<unknown>) => work,
};

Workshop.open = async (scale) => {
  let made: SiteFiles | undefined;
  const workshop = {
    ...pretended,
    scale,
    /** Made for those who measure signatures: it takes a while. */
    get files() {
      made ??= makeSiteFiles();
      return made;
    },
    close: async () => made && rmSync(made.folder, { recursive: true }),
  };
  return workshop as unknown as Workshop;
};

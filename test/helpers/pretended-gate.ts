/** Loaded before bench/gate.js (`--import`): its edges are none, and cost what the environment says ({@link Pretended}). */
import type { ClosedPlan } from '../../lib/cli/bench/client-plans.ts';
import type { EdgeRequest } from '../../lib/cli/bench/edge-process.ts';
import { Workshop } from '../../lib/cli/bench/workshop.ts';
import { QUIET } from './bench.ts';

/** The variable `PRETENDED`, as JSON. */
export interface Pretended {
  /** Of a remote handshake, in native ones: of each pair of processes; the last is that of all others. */
  readonly costs: readonly number[];
  /** Share of the time that the edge waits for its core. */
  readonly waiting?: number;
  /** Whether what an edge wastes is not seen. */
  readonly blind?: boolean;
}

const { costs, waiting = 0, blind = false }: Pretended = JSON.parse(process.env.PRETENDED ?? '');
const HANDSHAKES = 10;
/** By edge; a server for each key. */
const PORTS = {
  native: { 'P-256': 1, 'RSA-2048': 2 },
  remote: { 'P-256': 3, 'RSA-2048': 4 },
} as const;
/** A native handshake with RSA costs twice one with P-256, which is the unit of both budgets. */
const RSA_COSTS = 2;

let [generation, wastedMs] = [0, 0];

/** @returns CPU milliseconds of a handshake */
function costOf(name: keyof typeof PORTS, port: number): number {
  if (name === 'native') return port === PORTS.native['RSA-2048'] ? RSA_COSTS : 1;
  return costs[Math.min(generation, costs.length - 1)]! + (blind ? 0 : wastedMs);
}

function edgeOf(name: keyof typeof PORTS) {
  const counts = { cpuMs: 0, handshakes: 0, resumed: 0, operations: 0 };
  return {
    ports: PORTS[name],
    asks: name === 'remote',
    figures: async ({ burnMs = wastedMs }: EdgeRequest = {}) => {
      wastedMs = burnMs;
      return { ...counts };
    },
    serve: (port: number) => {
      counts.cpuMs += HANDSHAKES * costOf(name, port);
      counts.handshakes += HANDSHAKES;
      if (name === 'remote') counts.operations += HANDSHAKES;
    },
  };
}

const edges = { native: edgeOf('native'), remote: edgeOf('remote') };

const pretended = {
  edge: async (name: keyof typeof edges) => edges[name],
  renew: () => {
    generation += 1;
    wastedMs = 0;
  },
  watched: async (_: unknown, work: () => Promise<unknown>) => [await work(), { ...QUIET, edge: waiting }],
  keyServerCpuMs: () => 0,
  clients: {
    run: async ({ ports }: ClosedPlan) => {
      const [port = 0] = ports;
      Object.values(edges)
        .find((edge) => Object.values<number>(edge.ports).includes(port))
        ?.serve(port);
      return { handshakes: HANDSHAKES, wallMs: 1, cpuMs: 1, latencies: [1], processes: 1, utilisation: 0.5 };
    },
  },
  during: (work: Promise<unknown>) => work,
  close: async () => undefined,
};

Workshop.open = async (scale) => ({ ...pretended, scale }) as unknown as Workshop;

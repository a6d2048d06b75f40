/** What questions ask of processes, and how often: with processes that answer as it is told here. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { ClientPlan, ClosedPlan } from '../../../../lib/cli/bench/client-plans.ts';
import type { Edge } from '../../../../lib/cli/bench/edge.ts';
import type { EdgePlan, EdgeRequest } from '../../../../lib/cli/bench/edge-process.ts';
import { swappedOf } from '../../../../lib/cli/bench/process-figures.ts';
import * as distance from '../../../../lib/cli/bench/questions/distance.ts';
import { memory, type Round } from '../../../../lib/cli/bench/questions/memory.ts';
import { takeSample } from '../../../../lib/cli/bench/sample.ts';
import { Workshop } from '../../../../lib/cli/bench/workshop.ts';
import { QUIET } from '../../../helpers/bench.ts';

const SCALE = { quick: true, rounds: 1, roundMs: 50, warmUpMs: 50 };

let workshop: Workshop;
before(async () => {
  workshop = await Workshop.open(SCALE);
});
after(() => workshop.close());

const NOTHING = {
  cpuMs: 0,
  handshakes: 1,
  resumed: 0,
  operations: 0,
  paused: 0,
  connections: 0,
  residentBytes: 0,
};

test('an edge that others leave little of its core is warmed up for longer, and not for ever', async (t) => {
  const [ms, edge] = [100, { ports: { 'RSA-2048': 1, 'P-256': 2 } }];
  for (const [share, times] of [
    [1, 1],
    [0.5, 1],
    [0.3, 2],
    [0.13, 4],
    [0, 4],
  ] as const) {
    let cpuMs = 7;
    const run = t.mock.method(workshop.clients, 'run', async (plan: ClientPlan) => {
      cpuMs += share * (plan.kind === 'closed' ? plan.ms : Number.NaN);
    });
    await workshop.warmUp({ ...edge, figures: async () => ({ ...NOTHING, cpuMs }) } as unknown as Edge, ms);
    const ports = run.mock.calls.map(({ arguments: [plan] }) => plan.kind === 'closed' && plan.ports[0]);
    assert.deepEqual(ports, [...Array(times).fill(1), ...Array(times).fill(2)], `${share} of a core`);
    run.mock.restore();
  }
});

test('memory is of handshakes that are all paused, and not of connections that are there', async () => {
  let [count, looks] = [0, 0];
  const edgeOf = ({ mode }: EdgePlan) => {
    let collections = 0;
    const figures = async ({ collect = false }: EdgeRequest) => {
      looks += 1;
      // Each takes its time to get so far.
      const paused = mode === 'remote' ? Math.min(count, Math.floor((count * looks) / 3)) : 0;
      if (collect) {
        collections += 1;
        assert.equal(paused, mode === 'remote' ? count : 0);
      }
      return { ...NOTHING, paused, connections: count, residentBytes: count * 1024, collections };
    };
    return {
      ports: { 'P-256': 1 },
      pid: process.pid,
      figures: (request: EdgeRequest = {}) => figures(request),
      end: () => undefined,
    };
  };
  const pretended = {
    scale: SCALE,
    planOf: (mode: EdgePlan['mode']) => ({ mode }),
    startEdge: async (plan: EdgePlan) => edgeOf(plan),
    startLink: async () => ({ port: 1, delay: async () => undefined, end: () => undefined }),
    clients: {
      run: async (plan: ClientPlan) => {
        [count, looks] = [plan.kind === 'hello' ? plan.count : Number.NaN, 0];
      },
    },
  };
  const { measured, raw } = await memory.answer(pretended as unknown as Workshop);
  assert.equal(measured[0]?.value, 0);
  const { native, paused } = raw as Readonly<Record<'native' | 'paused', readonly Round[]>>;
  const swapped = [...native, ...paused].map(({ swappedKilobytes }) => typeof swappedKilobytes);
  assert.deepEqual(swapped, Array(4).fill(typeof swappedOf(process.pid)));
});

test('distances are in turn, and what is measured at each; the first sample after a change of the distance is not counted', async () => {
  let distanceMs = Number.NaN;
  const order: string[] = [];
  const pids = { native: 1, remote: 2 };
  const edgeOf = (side: keyof typeof pids) => ({
    ports: { 'P-256': pids[side] },
    pid: pids[side],
    figures: async () => NOTHING,
    end: () => undefined,
  });
  const pretended = {
    scale: { ...SCALE, rounds: 2, quick: false },
    planOf: (mode: EdgePlan['mode']) => ({ mode }),
    edge: async () => edgeOf('native'),
    startEdge: async () => edgeOf('remote'),
    startLink: async () => ({
      port: 1,
      delay: async (ms: number) => {
        distanceMs = ms;
      },
      end: () => undefined,
    }),
    warmUp: async () => undefined,
    say: () => undefined,
    keyServerCpuMs: () => 0,
    watched: async (_: unknown, work: () => Promise<unknown>) => [await work(), QUIET],
    clients: {
      run: async (plan: ClosedPlan) => {
        const who = plan.ports[0] === pids.native ? 'native' : String(plan.concurrent);
        // What was taken says where.
        order.push(`${distanceMs}:${who}`);
        return {
          handshakes: 1,
          wallMs: 1,
          cpuMs: 1,
          latencies: [distanceMs],
          processes: 1,
          utilisation: 0.5,
        };
      },
    },
  };
  const { raw } = await distance.distance.answer(pretended as unknown as Workshop);
  const at = (ms: number, ...who: readonly string[]) => who.map((each) => `${ms}:${each}`);
  assert.deepEqual(order, [
    ...[0, 1, 5, 20, 80].flatMap((ms) => at(ms, '16', 'native', '1', '128')),
    ...[80, 20, 5, 1, 0].flatMap((ms) => at(ms, '16', '128', '1', 'native')),
  ]);
  for (const { distanceMs: ms, native, alone, many } of raw as readonly distance.Result[]) {
    const seen = [native, alone, many].map((samples) => samples.map(({ medianMs }) => medianMs));
    assert.deepEqual(seen, Array(3).fill([ms, ms]));
  }
});

test('clients are told which processes they connect to: a session of another one is not offered', async () => {
  const plans: ClientPlan[] = [];
  const pretended = {
    watched: async (_: unknown, work: () => Promise<unknown>) => [await work(), QUIET],
    keyServerCpuMs: () => 0,
    clients: {
      run: async (plan: ClientPlan) => {
        plans.push(plan);
        return { handshakes: 1, wallMs: 1, cpuMs: 1, latencies: [1], processes: 1, utilisation: 0.5 };
      },
    },
  };
  const edges = [7, 8].map((pid) => ({ pid, figures: async () => NOTHING }) as unknown as Edge);
  const plan = { version: 'TLSv1.3', ports: [1], concurrent: 1, ms: 1, resume: true } as const;
  await takeSample(pretended as unknown as Workshop, edges, plan);
  assert.deepEqual(plans, [{ ...plan, kind: 'closed', servers: [7, 8] }]);
});

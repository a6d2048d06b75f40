/** Do more connections to the key server help, and more edge processes? */
import { availableParallelism } from 'node:os';
import { doubtsOf } from '../doubts.ts';
import type { Edge } from '../edge.ts';
import { ms, perSecond, spread, times } from '../figures-in-words.ts';
import type { Answer, Plot, Question, Table } from '../question.ts';
import { figuresIn, interleave, medianOf } from '../rounds.ts';
import { type Sample, takeSample } from '../sample.ts';
import type { Scale } from '../scale.ts';
import { spreadOf } from '../statistics.ts';
import type { Workshop } from '../workshop.ts';

const SITE = 'P-256';
const FEWEST = 1;
const MOST = 8;
const connectionsOf = ({ quick }: Scale) => (quick ? [FEWEST, MOST] : [FEWEST, 2, 4, MOST]);
/** For all edges together. */
const CONCURRENT = 64;

/** What was measured, by how many connections or edges there were. */
type Curve = ReadonlyMap<number, readonly Sample[]>;

const workersOf = (cores = availableParallelism()) =>
  [1, 2, 4].filter((count) => count <= Math.max(2, cores));
const roundsOf = ({ quick, rounds }: Scale) => (quick ? 2 : rounds);
/** Of each edge; they differ in nothing V8 would compile otherwise. */
const warmUpOf = ({ quick, warmUpMs }: Scale) => (quick ? warmUpMs / 3 : warmUpMs / 2);

async function sampleOf(workshop: Workshop, edges: readonly Edge[]): Promise<Sample> {
  const ports = edges.map((edge) => edge.ports[SITE]!);
  const { roundMs } = workshop.scale;
  return takeSample(workshop, edges, { version: 'TLSv1.3', ports, concurrent: CONCURRENT, ms: roundMs });
}

/** Measures groups of edges in turn, and ends them. @param groups by what they are called in the curve */
async function curveOf(workshop: Workshop, groups: ReadonlyMap<number, readonly Edge[]>): Promise<Curve> {
  for (const edge of new Set([...groups.values()].flat()))
    await workshop.warmUp(edge, warmUpOf(workshop.scale));
  const contestants = [...groups].map(([count, edges]) => [count, () => sampleOf(workshop, edges)] as const);
  const samples = await interleave(Object.fromEntries(contestants), roundsOf(workshop.scale));
  return new Map([...groups.keys()].map((count) => [count, samples[count] ?? []]));
}

async function byConnections(workshop: Workshop): Promise<Curve> {
  workshop.say('connections to the key server');
  const edges = new Map<number, readonly Edge[]>();
  try {
    for (const count of connectionsOf(workshop.scale)) {
      edges.set(count, [
        await workshop.startEdge(workshop.planOf('remote', undefined, { connections: count })),
      ]);
    }
    return await curveOf(workshop, edges);
  } finally {
    for (const edge of [...edges.values()].flat()) edge.end();
  }
}

async function byWorkers(workshop: Workshop, mode: 'native' | 'remote'): Promise<Curve> {
  workshop.say(`edge processes, ${mode}`);
  const counts = workersOf();
  const edges: Edge[] = [];
  try {
    while (edges.length < Math.max(...counts)) {
      edges.push(await workshop.startEdge(workshop.planOf(mode), [], 'anywhere'));
    }
    return await curveOf(workshop, new Map(counts.map((count) => [count, edges.slice(0, count)])));
  } finally {
    for (const edge of edges) edge.end();
  }
}

function tableOf(what: string, curve: Curve): Table {
  const one = medianOf(curve.get(1) ?? [], 'perSecond');
  return {
    columns: [
      what,
      'handshakes a second',
      'over one',
      'edge CPU, ms',
      'median, ms',
      'busiest client, of a core',
    ],
    rows: [...curve].map(([count, samples]) => [
      String(count),
      spread(figuresIn(samples, 'perSecond'), perSecond),
      times(medianOf(samples, 'perSecond') / one),
      spread(figuresIn(samples, 'edgeCpuMs')),
      ms(medianOf(samples, 'medianMs')),
      medianOf(samples, 'clientUtilisation').toFixed(2),
    ]),
  };
}

function plotOf(title: string, label: string, curves: Readonly<Record<string, Curve>>): Plot {
  return {
    kind: 'lines',
    title,
    x: { label, whole: true },
    y: { label: 'handshakes a second' },
    lines: Object.entries(curves).map(([name, curve]) => ({
      name,
      points: [...curve].map(([count, samples]) => {
        const { median, least, most } = spreadOf(figuresIn(samples, 'perSecond'));
        return [count, median, least, most] as const;
      }),
    })),
  };
}

const groupsOf = (what: string, curve: Curve) =>
  Object.fromEntries([...curve].map(([count, samples]) => [`${count} ${what}`, samples] as const));

async function answer(workshop: Workshop): Promise<Answer> {
  const connections = await byConnections(workshop);
  const [native, remote] = [await byWorkers(workshop, 'native'), await byWorkers(workshop, 'remote')];
  const cores = availableParallelism();
  const crowded =
    cores < 4
      ? [`Edges, key server and clients share ${cores} cores: rates do not show what more cores would.`]
      : [];
  return {
    words: ['The edges of a group run on any of the cores, not on one of their own.', ...crowded],
    conclusions: [
      `P-256, TLS 1.3, ${CONCURRENT} handshakes at once: one connection to the key server carries ${perSecond(medianOf(connections.get(FEWEST) ?? [], 'perSecond'))} handshakes a second, eight carry ${perSecond(medianOf(connections.get(MOST) ?? [], 'perSecond'))}.`,
    ],
    tables: [
      tableOf('connections', connections),
      tableOf('native edges', native),
      tableOf('remote edges', remote),
    ],
    plots: [
      plotOf('Connections to the key server', 'connections', { remote: connections }),
      plotOf('Edge processes', 'processes', { native, remote }),
    ],
    measured: [],
    ...doubtsOf({
      ...groupsOf('connections', connections),
      ...groupsOf('native edges', native),
      ...groupsOf('remote edges', remote),
    }),
    raw: {
      connections: Object.fromEntries(connections),
      workers: { native: Object.fromEntries(native), remote: Object.fromEntries(remote) },
    },
  };
}

function seconds(scale: Scale): number {
  const [groups, edges] = [
    connectionsOf(scale).length + 2 * workersOf().length,
    connectionsOf(scale).length + 2 * Math.max(...workersOf()),
  ];
  return (groups * roundsOf(scale) * (scale.roundMs + 60) + edges * (warmUpOf(scale) + 350)) / 1000;
}

export const scaling: Question = {
  name: 'scaling',
  title: 'Connections and edge processes',
  asks: 'what more connections to the key server do, and more edge processes',
  edges: [],
  rounds: roundsOf,
  seconds,
  answer,
};

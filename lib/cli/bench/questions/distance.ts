/** What does the distance to the key server cost? A link delays what the edge sends. */
import { doubtsOf } from '../doubts.ts';
import type { Edge } from '../edge.ts';
import { sideOf, withinOne } from '../estimate.ts';
import { between, ms, perSecond, share, spread, times } from '../figures-in-words.ts';
import type { Link } from '../link.ts';
import type { Answer, Question } from '../question.ts';
import { figuresIn, inTurn, interleave, medianOf } from '../rounds.ts';
import { type Sample, takeSample } from '../sample.ts';
import type { Scale } from '../scale.ts';
import { spreadOf } from '../statistics.ts';
import type { Workshop } from '../workshop.ts';

export interface Result {
  /** Milliseconds more for a round trip. */
  readonly distanceMs: number;
  /** In turn with the others; no distance is its own. */
  readonly native: readonly Sample[];
  readonly alone: readonly Sample[];
  readonly many: readonly Sample[];
}

const SITE = 'P-256';
const distancesOf = ({ quick }: Scale) => (quick ? [0, 5, 80] : [0, 1, 5, 20, 80]);
/** So many at once hide the longest distance: the edge has always something to do. */
const MANY = 128;

const plan = (edge: Edge, concurrent: number, length: number) =>
  ({ version: 'TLSv1.3', ports: [edge.ports[SITE]!], concurrent, ms: length }) as const;

/** Long enough for some handshakes at every distance. */
const aloneMs = ({ roundMs }: Scale, distanceMs: number) => Math.max(roundMs / 2, distanceMs * 6);

/** Long enough for the client of key servers to learn how long they take: sixteen answers and more. */
const learningMs = ({ roundMs }: Scale, distanceMs: number) => Math.max(roundMs / 20, distanceMs * 2);

interface Edges {
  readonly native: Edge;
  readonly remote: Edge;
}

type One = Record<'native' | 'alone' | 'many', Sample>;

/** One round of each. */
async function atDistance(
  workshop: Workshop,
  edges: Edges,
  link: Link,
  distanceMs: number,
  round: number,
): Promise<One> {
  const [{ scale }, edge] = [workshop, edges.remote];
  workshop.say(`${distanceMs} ms`);
  await link.delay(distanceMs);
  const many = () => takeSample(workshop, [edge], plan(edge, MANY, scale.roundMs));
  const alone = () => takeSample(workshop, [edge], plan(edge, 1, aloneMs(scale, distanceMs)));
  const native = () => takeSample(workshop, [edges.native], plan(edges.native, 1, scale.roundMs / 2));
  await takeSample(workshop, [edge], plan(edge, 16, learningMs(scale, distanceMs)));
  return inTurn({ native, alone, many }, round);
}

/** All distances in turn: what changes on the machine, and in the edge, changes for each of them. */
async function atEach(workshop: Workshop, edges: Edges, link: Link): Promise<Result[]> {
  const distances = distancesOf(workshop.scale);
  const contestants = distances.map((distanceMs) => [
    `${distanceMs} ms`,
    (round: number) => atDistance(workshop, edges, link, distanceMs, round),
  ]);
  const all = Object.values(
    await interleave(
      Object.fromEntries(contestants) as Record<string, (round: number) => Promise<One>>,
      roundsOf(workshop.scale),
    ),
  );
  return distances.map((distanceMs, index) => {
    const side = (name: keyof One) => all[index]!.map((each) => each[name]);
    return { distanceMs, native: side('native'), alone: side('alone'), many: side('many') };
  });
}

/** Latency is what counts here; CPU times of `--quick` are higher than after a long one. */
const warmUpOf = ({ quick, warmUpMs }: Scale) => (quick ? warmUpMs / 2 : warmUpMs);
const roundsOf = ({ quick, rounds }: Scale) => (quick ? 2 : rounds);

/** Milliseconds that one at a time takes longer than natively. */
const addedBy = ({ alone, native }: Result) => medianOf(alone, 'medianMs') - medianOf(native, 'medianMs');

function row(result: Result): string[] {
  const { distanceMs, native, alone, many } = result;
  return [
    `${distanceMs} ms`,
    spread(figuresIn(native, 'medianMs')),
    spread(figuresIn(alone, 'medianMs')),
    ms(addedBy(result)),
    spread(figuresIn(many, 'edgeCpuMs')),
    spread(figuresIn(many, 'perSecond'), perSecond),
    spread(figuresIn(many, 'medianMs')),
  ];
}

async function measure(workshop: Workshop): Promise<Result[]> {
  const native = await workshop.edge('native');
  const link = await workshop.startLink();
  let remote: Edge | undefined;
  try {
    remote = await workshop.startEdge(workshop.planOf('remote', link.port));
    workshop.say('warming up');
    await workshop.warmUp(remote, warmUpOf(workshop.scale));
    return await atEach(workshop, { native, remote }, link);
  } finally {
    remote?.end();
    link.end();
  }
}

const cpu = ({ many }: Result) => medianOf(many, 'edgeCpuMs');

/** @param near at no distance; both as far as they were measured */
export function spentInWords(near: Result, far: Result): string {
  return `With ${MANY} at once the edge spends ${ms(cpu(near))} ms of CPU for each at no distance, and ${ms(cpu(far))} ms at ${far.distanceMs} ms.`;
}

export function addedInWords(near: Result, far: Result): string {
  return `A full handshake asks the key server once: a distance of ${far.distanceMs} ms adds ${ms(addedBy(far))} ms to native's, the link alone (0 ms) ${ms(addedBy(near))} ms.`;
}

export function conclusionOf(near: Result, far: Result): string {
  const estimate = withinOne(figuresIn(far.many, 'edgeCpuMs'), figuresIn(near.many, 'edgeCpuMs'));
  const [side, rise] = [sideOf(estimate, 1), estimate.value - 1];
  const range = between(estimate.interval, times);
  return side === 0
    ? `Whether what it spends depends on the distance, these rounds do not tell: at ${far.distanceMs} ms it is ${times(estimate.value)} what it is at no distance${range}.`
    : `At ${far.distanceMs} ms it spends ${share(Math.abs(rise))} ${side > 0 ? 'more' : 'less'} than at no distance${range}.`;
}

const groupsOf = (results: readonly Result[]) =>
  Object.fromEntries(
    results.flatMap(({ distanceMs, native, alone, many }) => [
      [`native, beside ${distanceMs} ms`, native] as const,
      [`remote, ${distanceMs} ms`, alone] as const,
      [`remote, ${distanceMs} ms, ${MANY} at once`, many] as const,
    ]),
  );

async function answer(workshop: Workshop): Promise<Answer> {
  const results = await measure(workshop);
  const [near, far] = [results[0]!, results.at(-1)!];
  const at = (side: 'native' | 'alone' | 'many') =>
    results.map((result) => {
      const { median, least, most } = spreadOf(figuresIn(result[side], 'medianMs'));
      return [result.distanceMs, median, least, most] as const;
    });
  return {
    words: [],
    conclusions: [addedInWords(near, far), spentInWords(near, far), conclusionOf(near, far)],
    tables: [
      {
        columns: [
          ...['key server', 'native, one at a time, ms', 'remote', 'more'],
          ...[`edge CPU, ${MANY} at once, ms`, 'a second', 'median, ms'],
        ],
        rows: results.map(row),
      },
    ],
    plots: [
      {
        kind: 'lines',
        title: 'Distance to the key server, and how long a full handshake takes',
        x: { label: 'round trip to the key server, ms' },
        y: { label: 'median handshake, ms' },
        lines: [
          { name: 'remote, one at a time', points: at('alone') },
          { name: `remote, ${MANY} at once`, points: at('many') },
          { name: 'native', points: at('native') },
        ],
      },
    ],
    measured: [],
    ...doubtsOf(groupsOf(results)),
    raw: results,
  };
}

/** Two rounds' time and what is not counted at each distance, and the waiting of the far ones. */
function seconds(scale: Scale): number {
  const each = (distanceMs: number) =>
    roundsOf(scale) *
    (1.5 * scale.roundMs + aloneMs(scale, distanceMs) + learningMs(scale, distanceMs) + 3 * distanceMs + 160);
  const all = distancesOf(scale)
    .map(each)
    .reduce((sum, length) => sum + length, 0);
  return (all + warmUpOf(scale) + 600) / 1000;
}

export const distance: Question = {
  name: 'distance',
  title: 'Distance to the key server',
  asks: 'what a key server far away costs (0 to 80 ms)',
  edges: ['native'],
  rounds: roundsOf,
  seconds,
  answer,
};

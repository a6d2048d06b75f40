/** What does the distance to the key server cost? A link delays what the edge sends. */
import { doubtsOf } from '../doubts.ts';
import { Edge } from '../edge.ts';
import { ms, perSecond, spread } from '../figures-in-words.ts';
import { Link } from '../link.ts';
import type { Answer, Question } from '../question.ts';
import { figuresIn, interleave, medianOf } from '../rounds.ts';
import { type Sample, takeSample } from '../sample.ts';
import type { Scale } from '../scale.ts';
import type { Workshop } from '../workshop.ts';

interface Result {
  /** Milliseconds more for a round trip. */
  readonly distanceMs: number;
  readonly alone: readonly Sample[];
  readonly many: readonly Sample[];
}

const SITE = 'P-256';
const DISTANCES_MS = [0, 1, 5, 20, 80] as const;
/** So many at once hide the longest distance: the edge has always something to do. */
const MANY = 128;

const plan = (edge: Edge, concurrent: number, length: number) =>
  ({ version: 'TLSv1.3', ports: [edge.ports[SITE]!], concurrent, ms: length }) as const;

/** Long enough for some handshakes at every distance. */
const aloneMs = ({ roundMs }: Scale, distanceMs: number) => Math.max(roundMs / 2, distanceMs * 6);

async function atDistance(workshop: Workshop, edge: Edge, link: Link, distanceMs: number): Promise<Result> {
  const { scale } = workshop;
  workshop.say(`${distanceMs} ms`);
  await link.delay(distanceMs);
  const many = () => takeSample(workshop, [edge], plan(edge, MANY, scale.roundMs));
  const alone = () => takeSample(workshop, [edge], plan(edge, 1, aloneMs(scale, distanceMs)));
  // The client of key servers learns how long they take.
  await takeSample(workshop, [edge], plan(edge, 16, scale.roundMs / 2));
  return { distanceMs, ...(await interleave({ alone, many }, roundsOf(scale))) };
}

/** Latency is what counts here; CPU times of `--quick` are higher than after a long one. */
const warmUpOf = ({ quick, warmUpMs }: Scale) => (quick ? warmUpMs / 2 : warmUpMs);
const roundsOf = ({ quick, rounds }: Scale) => (quick ? 2 : rounds);

function row(nativeAlone: readonly Sample[], { distanceMs, alone, many }: Result): string[] {
  return [
    `${distanceMs} ms`,
    spread(figuresIn(alone, 'medianMs')),
    ms(medianOf(alone, 'medianMs') - medianOf(nativeAlone, 'medianMs')),
    spread(figuresIn(many, 'edgeCpuMs')),
    spread(figuresIn(many, 'perSecond'), perSecond),
    spread(figuresIn(many, 'medianMs')),
  ];
}

async function measure(workshop: Workshop): Promise<{ native: Sample[]; results: Result[] }> {
  const edge = await workshop.edge('native');
  const nativeAlone = () => takeSample(workshop, [edge], plan(edge, 1, workshop.scale.roundMs / 2));
  const { native } = await interleave({ native: nativeAlone }, roundsOf(workshop.scale));
  const link = await Link.start(workshop.keyServer.port);
  let remote: Edge | undefined;
  try {
    remote = await Edge.start(workshop.planOf('remote', link.port));
    workshop.say('warming up');
    await workshop.warmUp(remote, warmUpOf(workshop.scale));
    const results: Result[] = [];
    for (const distanceMs of DISTANCES_MS) {
      results.push(await atDistance(workshop, remote, link, distanceMs));
    }
    return { native, results };
  } finally {
    remote?.end();
    link.end();
  }
}

async function answer(workshop: Workshop): Promise<Answer> {
  const { native, results } = await measure(workshop);
  const at = (pick: (result: Result) => number) =>
    results.map((result) => [result.distanceMs, pick(result)] as const);
  const [near, far] = [results.at(0), results.at(-1)];
  const added = (result?: Result) => medianOf(result?.alone ?? [], 'medianMs') - medianOf(native, 'medianMs');
  const cpu = (result?: Result) => medianOf(result?.many ?? [], 'edgeCpuMs');
  return {
    words: [
      `A full handshake asks the key server once: a distance of ${far?.distanceMs} ms makes it ${ms(added(far))} ms longer than native, none makes it ${ms(added(near))} ms longer.`,
      `Distance costs waiting, not work: with ${MANY} at once the edge spends ${ms(cpu(near))} ms of CPU for each at no distance, and ${ms(cpu(far))} ms at ${far?.distanceMs} ms.`,
    ],
    tables: [
      {
        columns: [
          ...['key server', 'one at a time, ms', 'more than native'],
          ...[`edge CPU, ${MANY} at once, ms`, 'a second', 'median, ms'],
        ],
        rows: results.map((result) => row(native, result)),
      },
    ],
    plots: [
      {
        kind: 'lines',
        title: 'Distance to the key server, and how long a full handshake takes',
        x: { label: 'round trip to the key server, ms' },
        y: { label: 'median handshake, ms' },
        lines: [
          { name: 'remote, one at a time', points: at(({ alone }) => medianOf(alone, 'medianMs')) },
          { name: `remote, ${MANY} at once`, points: at(({ many }) => medianOf(many, 'medianMs')) },
          { name: 'native', points: at(() => medianOf(native, 'medianMs')) },
        ],
      },
    ],
    verdicts: [],
    warnings: doubtsOf(results.flatMap(({ alone, many }) => [...alone, ...many])),
    raw: { native, results },
  };
}

/** Two and a half rounds' time at each distance, and the waiting of the far ones. */
function seconds(scale: Scale): number {
  const each = (distanceMs: number) =>
    roundsOf(scale) * (scale.roundMs + aloneMs(scale, distanceMs) + 2 * distanceMs + 80) + scale.roundMs / 2;
  const all = DISTANCES_MS.map(each).reduce((sum, length) => sum + length, 0);
  return (all + warmUpOf(scale) + 600 + roundsOf(scale) * (scale.roundMs / 2)) / 1000;
}

export const distance: Question = {
  name: 'distance',
  title: 'Distance to the key server',
  asks: 'what a key server far away costs (0 to 80 ms)',
  edges: ['native'],
  seconds,
  answer,
};

/** What does isolate cost, and gain? One app process, whose keys are in a process of their own on the same machine. */
import { bottleneckOf } from '../bottleneck.ts';
import { doubtsOf, isDisturbed } from '../doubts.ts';
import { ms, perSecond, spread, times } from '../figures-in-words.ts';
import { childrenOf, cpuMsOf } from '../process-figures.ts';
import type { Answer, Measured, Question } from '../question.ts';
import { estimateOf, figuresIn, interleave, medianOf, ratioOf } from '../rounds.ts';
import { type Sample, takeSample } from '../sample.ts';
import type { Scale } from '../scale.ts';
import type { Site } from '../sites.ts';
import { median } from '../statistics.ts';
import type { Workshop } from '../workshop.ts';

type Side = 'native' | 'isolated';

/** With the CPU of the processes that hold the keys: milliseconds for one handshake. */
interface IsolateSample extends Sample {
  readonly holdersCpuMs: number;
}

type Sides = Readonly<Record<Side, readonly IsolateSample[]>>;
export type Result = Sides & { readonly site: Site };

const SIDES = ['native', 'isolated'] as const;
const SITES: readonly Site[] = ['RSA-2048', 'P-256'];
const BOTH_CORES = 'edge and key server';
/** Enough for both processes to have something to do. */
const CONCURRENT = 32;

async function sample(workshop: Workshop, side: Side, site: Site, length: number): Promise<IsolateSample> {
  const edge = await workshop.edge(side);
  const holders = childrenOf(edge.pid);
  const cpu = () => holders.reduce((sum, pid) => sum + (cpuMsOf(pid) ?? Number.NaN), 0);
  const before = cpu();
  const ports = [edge.ports[site]!];
  const plan = { version: 'TLSv1.3', ports, concurrent: CONCURRENT, ms: length } as const;
  const taken = await takeSample(workshop, [edge], plan);
  return { ...taken, holdersCpuMs: (cpu() - before) / taken.handshakes };
}

async function measure(workshop: Workshop, site: Site): Promise<Result> {
  workshop.say(site);
  const { roundMs, rounds } = workshop.scale;
  const [native, isolated] = [await workshop.edge('native'), await workshop.edge('isolated')];
  // The same two cores for both, and for the keys: held to the core of the clients, they would leave the app's own half idle.
  // Other questions have the native edge on one.
  isolated.place(BOTH_CORES);
  workshop.adopt(childrenOf(isolated.pid), BOTH_CORES);
  native.place(BOTH_CORES);
  try {
    for (const side of SIDES) await sample(workshop, side, site, roundMs);
    const contestants = {
      native: () => sample(workshop, 'native', site, roundMs),
      isolated: () => sample(workshop, 'isolated', site, roundMs),
    };
    return { site, ...(await interleave(contestants, rounds)) };
  } finally {
    native.place('edge');
  }
}

const holdersOf = (samples: readonly IsolateSample[]) => samples.map(({ holdersCpuMs }) => holdersCpuMs);

/** Handshakes a second that the slower of both processes has CPU for, each on a core of its own. */
function capacityOf(samples: readonly IsolateSample[]): number {
  return 1000 / Math.max(medianOf(samples, 'edgeCpuMs'), median(holdersOf(samples)));
}

function row({ site, native, isolated }: Result, isPlaced: boolean): string[] {
  return [
    site,
    spread(figuresIn(native, 'edgeCpuMs')),
    spread(figuresIn(isolated, 'edgeCpuMs')),
    times(ratioOf(isolated, native)),
    spread(holdersOf(isolated)),
    isPlaced ? `${perSecond(capacityOf(native))} → ${perSecond(capacityOf(isolated))}` : '–',
    `${perSecond(medianOf(native, 'perSecond'))} → ${perSecond(medianOf(isolated, 'perSecond'))}`,
  ];
}

/** The rate is the claim, where it is not that of the clients; what the CPU allows is no rate. @param isPlaced whether app and keys have a core each */
export function measuredOf(results: readonly Result[], isPlaced: boolean): Measured[] {
  const rsa = results.find(({ site }) => site === 'RSA-2048');
  if (rsa === undefined) return [];
  const target = 'isolate';
  if (!isPlaced) return [{ target, value: Number.NaN, note: 'app and keys had no core of their own each' }];
  const allowed = times(capacityOf(rsa.isolated) / capacityOf(rsa.native));
  const note = `the CPU of both processes would allow ${allowed}; the clients share it where there is no core for them alone`;
  const doubtful = SIDES.some((side) => bottleneckOf(rsa[side]) === 'clients');
  const disturbed = isDisturbed(rsa.isolated, rsa.native);
  return [{ target, ...estimateOf(rsa.isolated, rsa.native, 1, 'perSecond'), note, doubtful, disturbed }];
}

export function costOf({ site, native, isolated }: Result): string {
  return (
    `${site}: an isolated app spends ${times(ratioOf(isolated, native))} the CPU of native, and the process of its keys ` +
    `${ms(median(holdersOf(isolated)))} ms beside it. Measured were ${times(ratioOf(isolated, native, 'perSecond'))} the handshakes a second.`
  );
}

/** Where app and keys have a core each. */
export function gainOf({ site, native, isolated }: Result): string {
  const gain = times(capacityOf(isolated) / capacityOf(native));
  return `${site}: with a core for each of both there is CPU for ${gain} the handshakes of one native process.`;
}

async function answer(workshop: Workshop): Promise<Answer> {
  const results: Result[] = [];
  for (const site of SITES) results.push(await measure(workshop, site));
  const columns = [
    ...['TLS 1.3, CPU, ms', 'native app', 'isolated app', 'ratio', 'process of the keys'],
    ...['what the CPU allows, /s', 'measured, /s'],
  ];
  return {
    words: [],
    conclusions: [...results.map(costOf), ...(workshop.isPlaced ? results.map(gainOf) : [])],
    tables: [{ columns, rows: results.map((result) => row(result, workshop.isPlaced)) }],
    plots: [],
    measured: measuredOf(results, workshop.isPlaced),
    ...doubtsOf(
      Object.fromEntries(
        results.flatMap(({ site, native, isolated }) => [
          [`${site}, native`, native] as const,
          [`${site}, isolated`, isolated] as const,
        ]),
      ),
    ),
    raw: results,
  };
}

export const isolate: Question = {
  name: 'isolate',
  title: 'Isolate',
  asks: 'what it costs and gains to have the keys in a process of their own',
  edges: SIDES,
  rounds: ({ rounds }: Scale) => rounds,
  seconds: ({ rounds, roundMs }: Scale) => (SITES.length * 2 * (rounds + 1) * (roundMs + 60)) / 1000,
  answer,
};

/** What does isolate cost, and gain? One app process, whose keys are in a process of their own on the same machine. */
import { availableParallelism } from 'node:os';
import { pin } from '../cores.ts';
import { doubtsOf } from '../doubts.ts';
import { ms, perSecond, spread, times } from '../figures-in-words.ts';
import { childrenOf, cpuMsOf } from '../process-figures.ts';
import type { Answer, Question, Verdict } from '../question.ts';
import { figuresIn, interleave, medianOf, ratioOf } from '../rounds.ts';
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
type Result = Sides & { readonly site: Site };

const SIDES = ['native', 'isolated'] as const;
const SITES: readonly Site[] = ['RSA-2048', 'P-256'];
/** Enough for both processes to have something to do. */
const CONCURRENT = 32;
/** From here on clients have cores that app and keys do not need. */
const ROOMY = 4;

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
  const isolated = await workshop.edge('isolated');
  pin(isolated.pid, 'edge');
  for (const holder of childrenOf(isolated.pid)) pin(holder, 'key server');
  for (const side of SIDES) await sample(workshop, side, site, roundMs);
  const contestants = {
    native: () => sample(workshop, 'native', site, roundMs),
    isolated: () => sample(workshop, 'isolated', site, roundMs),
  };
  return { site, ...(await interleave(contestants, rounds)) };
}

const holdersOf = (samples: readonly IsolateSample[]) => samples.map(({ holdersCpuMs }) => holdersCpuMs);

/** Handshakes a second that the slower of both processes has CPU for, each on a core of its own. */
function capacityOf(samples: readonly IsolateSample[]): number {
  return 1000 / Math.max(medianOf(samples, 'edgeCpuMs'), median(holdersOf(samples)));
}

function row({ site, native, isolated }: Result): string[] {
  return [
    site,
    spread(figuresIn(native, 'edgeCpuMs')),
    spread(figuresIn(isolated, 'edgeCpuMs')),
    times(ratioOf(isolated, native)),
    spread(holdersOf(isolated)),
    `${perSecond(capacityOf(native))} → ${perSecond(capacityOf(isolated))}`,
    `${perSecond(medianOf(native, 'perSecond'))} → ${perSecond(medianOf(isolated, 'perSecond'))}`,
  ];
}

function verdicts(results: readonly Result[]): Verdict[] {
  const rsa = results.find(({ site }) => site === 'RSA-2048');
  if (rsa === undefined) return [];
  const roomy = availableParallelism() >= ROOMY;
  const how = roomy ? 'rate' : 'rate that the CPU of both processes allows (clients share the two cores)';
  const measured = roomy
    ? ratioOf(rsa.isolated, rsa.native, 'perSecond')
    : capacityOf(rsa.isolated) / capacityOf(rsa.native);
  return [{ claim: `Isolate, RSA-2048, two cores: ${how}, over native`, measured, least: 1.3, unit: '×' }];
}

async function answer(workshop: Workshop): Promise<Answer> {
  const results: Result[] = [];
  for (const site of SITES) results.push(await measure(workshop, site));
  const columns = [
    ...['TLS 1.3, CPU, ms', 'native app', 'isolated app', 'ratio', 'process of the keys'],
    ...['what the CPU allows, /s', 'measured, /s'],
  ];
  return {
    words: results.map(
      ({ site, native, isolated }) =>
        `${site}: an isolated app spends ${times(ratioOf(isolated, native))} the CPU of native, and the process of its keys ` +
        `${ms(median(holdersOf(isolated)))} ms beside it, on another core: CPU for ${times(capacityOf(isolated) / capacityOf(native))} the handshakes of one native process.`,
    ),
    tables: [{ columns, rows: results.map(row) }],
    plots: [],
    verdicts: verdicts(results),
    warnings: doubtsOf(results.flatMap(({ native, isolated }) => [...native, ...isolated])),
    raw: results,
  };
}

export const isolate: Question = {
  name: 'isolate',
  title: 'Isolate',
  asks: 'what it costs and gains to have the keys in a process of their own',
  edges: SIDES,
  seconds: ({ rounds, roundMs }: Scale) => (SITES.length * 2 * (rounds + 1) * (roundMs + 60)) / 1000,
  answer,
};

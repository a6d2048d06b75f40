/** What does pausing a handshake cost alone? The key is in the same process and answers at once. */
import { type Case, compare, nativelyIn } from '../comparison.ts';
import { doubtsOf, isDisturbed, withMore } from '../doubts.ts';
import type { Estimate } from '../estimate.ts';
import { spread, times } from '../figures-in-words.ts';
import {
  eachGeneration,
  generationsInWords,
  generationsOf,
  joined,
  renewalMs,
  roundsInEach,
  roundsOfAll,
} from '../generations.ts';
import type { Answer, Measured, Question } from '../question.ts';
import { estimateOf, figuresIn, ratioOf } from '../rounds.ts';
import type { Sample } from '../sample.ts';
import { CONCURRENT, type Scale } from '../scale.ts';
import type { Site } from '../sites.ts';
import type { EdgeName, Workshop } from '../workshop.ts';

export type Results = Readonly<Partial<Record<'unverified', readonly Sample[]>>> &
  Readonly<Record<'native' | 'local', readonly Sample[]>>;

const SIDES = ['native', 'local', 'unverified'] as const;
/** Other signatures than RSA's are not verified anyway. */
const sidesOf = (site: Site) => (site === 'RSA-2048' ? SIDES : (['native', 'local'] as const));
const SITES: readonly Site[] = ['RSA-2048', 'P-256'];

function rows(site: Site, results: Results): string[][] {
  const { native, local, unverified } = results;
  const row = (name: string, samples: readonly Sample[]) => [
    `${site}, ${name}`,
    spread(figuresIn(native, 'edgeCpuMs')),
    spread(figuresIn(samples, 'edgeCpuMs')),
    times(ratioOf(samples, native)),
  ];
  if (unverified === undefined) return [row('callback', local)];
  return [row('callback', unverified), row('callback, signature verified', local)];
}

/** To do something more costs no less: where the rounds say so, they are wrong. */
const isImpossible = ({ value, interval }: Estimate) => (interval?.[1] ?? value) < 1;

export function measuredOf({ native, local, unverified }: Results, generations: number): Measured[] {
  const of = (target: Measured['target'], samples: readonly Sample[]): Measured => {
    const cost = estimateOf(samples, native, generations);
    return { target, ...cost, doubtful: isImpossible(cost), disturbed: isDisturbed(samples, native) };
  };
  if (unverified === undefined) return [of('ecShim', local)];
  return [of('rsaShim', unverified), of('rsaShimVerified', local)];
}

/** @returns of each site, what one generation of edges makes of it */
async function ofOneGeneration(workshop: Workshop) {
  const { scale } = workshop;
  const all = [];
  for (const site of SITES) {
    workshop.say(site);
    const which: Case = { site, version: 'TLSv1.3' };
    const rounds = roundsInEach(scale);
    all.push(await compare(workshop, sidesOf(site), which, CONCURRENT, scale.roundMs, rounds));
  }
  return all;
}

const groupsOf = (results: readonly (readonly [Site, Results])[]) =>
  Object.fromEntries(
    results.flatMap(([site, result]) =>
      Object.entries(result).map(([side, samples]) => [`${site}, ${side}`, samples] as const),
    ),
  );

async function answer(workshop: Workshop): Promise<Answer> {
  const all = await eachGeneration(workshop, SIDES, () => ofOneGeneration(workshop));
  const results = SITES.map((site, index): [Site, Results] => [
    site,
    joined(all.map((each) => each[index]!)),
  ]);
  const measured = results.flatMap(([, result]) => measuredOf(result, generationsOf(workshop.scale)));
  const wrong = measured.some(({ doubtful }) => doubtful)
    ? ['A shim seems to cost less than none. That cannot be: something disturbed it.']
    : [];
  return {
    words: [
      'The handshake is paused, a callback in the same process signs at once, and the handshake goes on: what the shim costs, without a network.',
      generationsInWords(workshop.scale),
    ],
    tables: [
      {
        columns: ['TLS 1.3, edge CPU, ms', 'native', 'shim', 'ratio'],
        rows: results.flatMap(([site, result]) => rows(site, result)),
      },
    ],
    plots: [],
    measured,
    ...withMore(doubtsOf(groupsOf(results)), ...wrong),
    natively: nativelyIn(results.map(([site, { native }]) => [{ site, version: 'TLSv1.3' }, native])),
    raw: { generations: generationsOf(workshop.scale), ...Object.fromEntries(results) },
  };
}

function seconds(scale: Scale): number {
  const rounds = generationsOf(scale) * roundsInEach(scale);
  return ((SIDES.length + 2) * rounds * (scale.roundMs + 40) + renewalMs(scale, SIDES.length)) / 1000;
}

export const shim: Question = {
  name: 'shim',
  title: 'The shim alone',
  asks: 'what pausing a handshake costs, with the key in the same process',
  edges: SIDES satisfies readonly EdgeName[],
  rounds: roundsOfAll,
  seconds,
  answer,
};

/** What does pausing a handshake cost alone? The key is in the same process and answers at once. */
import { type Case, compare } from '../comparison.ts';
import { doubtsOf } from '../doubts.ts';
import { spread, times } from '../figures-in-words.ts';
import type { Answer, Measured, Question } from '../question.ts';
import { figuresIn, ratioOf } from '../rounds.ts';
import type { Sample } from '../sample.ts';
import { CONCURRENT, type Scale } from '../scale.ts';
import type { Site } from '../sites.ts';
import type { EdgeName, Workshop } from '../workshop.ts';

type Results = Readonly<Partial<Record<'unverified', readonly Sample[]>>> &
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

function measuredOf({ native, local, unverified }: Results): Measured[] {
  if (unverified === undefined) return [{ target: 'ecShim', value: ratioOf(local, native) }];
  return [
    { target: 'rsaShim', value: ratioOf(unverified, native) },
    { target: 'rsaShimVerified', value: ratioOf(local, native) },
  ];
}

const groupsOf = (results: readonly (readonly [Site, Results])[]) =>
  Object.fromEntries(
    results.flatMap(([site, result]) =>
      Object.entries(result).map(([side, samples]) => [`${site}, ${side}`, samples] as const),
    ),
  );

async function answer(workshop: Workshop): Promise<Answer> {
  const results: [Site, Results][] = [];
  for (const site of SITES) {
    workshop.say(site);
    const which: Case = { site, version: 'TLSv1.3' };
    results.push([site, await compare(workshop, sidesOf(site), which, CONCURRENT)]);
  }
  return {
    words: [
      'The handshake is paused, a callback in the same process signs at once, and the handshake goes on: what the shim costs, without a network.',
    ],
    tables: [
      {
        columns: ['TLS 1.3, edge CPU, ms', 'native', 'shim', 'ratio'],
        rows: results.flatMap(([site, result]) => rows(site, result)),
      },
    ],
    plots: [],
    measured: results.flatMap(([, result]) => measuredOf(result)),
    ...doubtsOf(groupsOf(results)),
    raw: Object.fromEntries(results),
  };
}

export const shim: Question = {
  name: 'shim',
  title: 'The shim alone',
  asks: 'what pausing a handshake costs, with the key in the same process',
  edges: SIDES satisfies readonly EdgeName[],
  rounds: ({ rounds }: Scale) => rounds,
  seconds: ({ rounds, roundMs }: Scale) => ((SIDES.length + 2) * (rounds + 1) * (roundMs + 40)) / 1000,
  answer,
};

/** What does a resumed handshake cost? No key takes part in it: as much as natively. */
import { type Case, compare, nameOf } from '../comparison.ts';
import { doubtsOf } from '../doubts.ts';
import { number, spread, times } from '../figures-in-words.ts';
import type { Answer, Question } from '../question.ts';
import { figuresIn, medianOf, ratioOf } from '../rounds.ts';
import type { Sample } from '../sample.ts';
import { CONCURRENT, type Scale } from '../scale.ts';
import type { Workshop } from '../workshop.ts';

interface Result extends Case {
  readonly native: readonly Sample[];
  readonly remote: readonly Sample[];
}

const SIDES = ['native', 'remote'] as const;
const CASES: readonly Case[] = [
  { site: 'RSA-2048', version: 'TLSv1.3', resume: true },
  { site: 'RSA-2048', version: 'TLSv1.2', resume: true },
];

const tls = ({ version }: Case) => version.replace('TLSv', 'TLS ');

function row(result: Result): string[] {
  const { native, remote } = result;
  return [
    tls(result),
    spread(figuresIn(native, 'edgeCpuMs')),
    spread(figuresIn(remote, 'edgeCpuMs')),
    times(ratioOf(remote, native)),
    number(medianOf(remote, 'resumed')),
    number(medianOf(remote, 'operations')),
  ];
}

/** Counted: what the edge says it resumed, and the signatures it asked for. */
function doubts(samples: readonly Sample[]): string[] {
  const found = doubtsOf(samples);
  if (samples.some(({ resumed, operations }) => resumed !== 1 || operations !== 0)) {
    found.push('Not every handshake was resumed: the comparison is not between resumed handshakes.');
  }
  return found;
}

async function answer(workshop: Workshop): Promise<Answer> {
  const results: Result[] = [];
  for (const which of CASES) {
    workshop.say(nameOf(which));
    results.push({ ...which, ...(await compare(workshop, SIDES, which, CONCURRENT)) });
  }
  const columns = ['edge CPU, ms', 'native', 'remote', 'ratio', 'resumed', 'operations'];
  return {
    words: [
      'A resumed handshake needs no private key, and the key server is not asked. ' +
        results
          .map((each) => `${tls(each)}: ${times(ratioOf(each.remote, each.native))} the CPU of native.`)
          .join(' '),
    ],
    tables: [{ columns, rows: results.map(row) }],
    plots: [],
    verdicts: results.map((result) => ({
      claim: `Resumed, ${tls(result)}: edge CPU, remote over native`,
      ...{ measured: ratioOf(result.remote, result.native), least: 0.97, most: 1.03, unit: '×' },
    })),
    warnings: doubts(results.flatMap(({ native, remote }) => [...native, ...remote])),
    raw: results,
  };
}

export const resumed: Question = {
  name: 'resumed',
  title: 'Resumed handshakes',
  asks: 'what a resumed handshake costs',
  edges: SIDES,
  seconds: ({ rounds, roundMs }: Scale) => (CASES.length * 2 * (rounds + 1) * (roundMs + 40)) / 1000,
  answer,
};

/** What does a resumed handshake cost? No key takes part in it: as much as natively. */
import { type Case, compareEach } from '../comparison.ts';
import { type Doubts, doubtsOf, isDisturbed } from '../doubts.ts';
import { number, spread, times } from '../figures-in-words.ts';
import { generationsInWords, generationsOf, renewalMs, roundsInEach, roundsOfAll } from '../generations.ts';
import type { Answer, Question } from '../question.ts';
import { estimateOf, figuresIn, medianOf, ratioOf } from '../rounds.ts';
import type { Sample } from '../sample.ts';
import type { Scale } from '../scale.ts';
import type { Workshop } from '../workshop.ts';

export interface Result extends Case {
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

const wasAsked = (results: readonly Result[]) =>
  results.some(({ native, remote }) => [...native, ...remote].some(({ operations }) => operations !== 0));

/** Counted: what the edge says it resumed, and the signatures it asked for. */
export function doubts(results: readonly Result[]): Doubts {
  const groups = Object.fromEntries(
    results.flatMap((each) => [
      [`native, ${tls(each)}`, each.native] as const,
      [`remote, ${tls(each)}`, each.remote] as const,
    ]),
  );
  return doubtsOf(groups);
}

/** That it was not asked is said where it was counted. */
export function wordsOf(results: readonly Result[]): string {
  const so = wasAsked(results) ? '' : ', and the key server was not asked';
  return `A resumed handshake needs no private key${so}.`;
}

export function conclusionOf(results: readonly Result[]): string {
  const ratios = results.map(
    (each) => `${tls(each)}: ${times(ratioOf(each.remote, each.native))} the CPU of native.`,
  );
  return ratios.join(' ');
}

async function answer(workshop: Workshop): Promise<Answer> {
  const generations = generationsOf(workshop.scale);
  const all = await compareEach(workshop, SIDES, CASES);
  const results = CASES.map((which, index) => ({ ...which, generations, ...all[index]! }));
  const columns = ['edge CPU, ms', 'native', 'remote', 'ratio', 'resumed', 'operations'];
  return {
    words: [wordsOf(results), generationsInWords(workshop.scale)],
    conclusions: [conclusionOf(results)],
    tables: [{ columns, rows: results.map(row) }],
    plots: [],
    measured: results.map(({ version, native, remote }) => ({
      target: version === 'TLSv1.3' ? 'resumed13' : 'resumed12',
      ...estimateOf(remote, native, generations),
      disturbed: isDisturbed(remote, native),
    })),
    ...doubts(results),
    raw: results,
  };
}

function seconds(scale: Scale): number {
  const rounds = generationsOf(scale) * (roundsInEach(scale) + 1);
  return (CASES.length * 2 * rounds * (scale.roundMs + 40) + renewalMs(scale, SIDES.length)) / 1000;
}

export const resumed: Question = {
  name: 'resumed',
  title: 'Resumed handshakes',
  asks: 'what a resumed handshake costs',
  edges: SIDES,
  rounds: roundsOfAll,
  seconds,
  answer,
};

/** What does a full handshake cost, with its key native and on a key server? */
import { type Case, compare, compareEach, compareWithSignature, nameOf, nativelyIn } from '../comparison.ts';
import { generationsInWords, generationsOf, renewalMs, roundsInEach, roundsOfAll } from '../generations.ts';
import type { Answer, Question } from '../question.ts';
import { CONCURRENT, type Scale } from '../scale.ts';
import type { Workshop } from '../workshop.ts';
import type { Result } from './handshakes-result.ts';
import { aloneTable, cpuTable, ratesPlot, splitPlot } from './handshakes-shown.ts';
import { conclusionsOf, doubts, measuredOf } from './handshakes-words.ts';

const POST_QUANTUM = 'X25519MLKEM768';
const SIDES = ['native', 'remote'] as const;
/** Targets are of these: they are asked of several generations of edges. */
const JUDGED: readonly Case[] = [
  { site: 'RSA-2048', version: 'TLSv1.3' },
  { site: 'P-256', version: 'TLSv1.3' },
];
const MORE_CASES: readonly Case[] = [
  { site: 'RSA-3072', version: 'TLSv1.3' },
  { site: 'P-384', version: 'TLSv1.3' },
  { site: 'Ed25519', version: 'TLSv1.3' },
  { site: 'RSA-2048', version: 'TLSv1.2' },
  { site: 'P-256', version: 'TLSv1.2' },
];

/** OpenSSL has it from 3.5 on. */
function hasPostQuantum(openssl = process.versions.openssl): boolean {
  const [major = 0, minor = 0] = openssl.split('.').map(Number);
  return major > 3 || (major === 3 && minor >= 5);
}

/** @returns what is measured, as far as this Node.js has it */
export function casesOf({ quick }: Scale): readonly Case[] {
  if (quick) return JUDGED;
  const postQuantum: Case = { site: 'P-256', version: 'TLSv1.3', group: POST_QUANTUM };
  return [...JUDGED, ...MORE_CASES, ...(hasPostQuantum() ? [postQuantum] : [])];
}

/** What was measured of a case with sixteen at once, and what is measured of it one at a time, and of its signature. */
async function withAlone(
  workshop: Workshop,
  which: Case,
  batch: Result['batch'],
  generations: number,
): Promise<Result> {
  const { edges, signature } = await compareWithSignature(
    workshop,
    SIDES,
    which,
    1,
    workshop.scale.roundMs / 2,
  );
  return { ...which, generations, batch, alone: edges, signature };
}

async function measure(workshop: Workshop): Promise<Result[]> {
  const batches = await compareEach(workshop, SIDES, JUDGED);
  const results: Result[] = [];
  for (const [index, which] of JUDGED.entries()) {
    results.push(await withAlone(workshop, which, batches[index]!, generationsOf(workshop.scale)));
  }
  for (const which of casesOf(workshop.scale).slice(JUDGED.length)) {
    workshop.say(nameOf(which));
    results.push(await withAlone(workshop, which, await compare(workshop, SIDES, which, CONCURRENT), 1));
  }
  return results;
}

/** Both edges, sixteen at once, and alone for half as long; of the cases that are not judged one uncounted round of each. */
function seconds(scale: Scale): number {
  const pair = 2 * (scale.roundMs + 40);
  const judged = JUDGED.length * (generationsOf(scale) * roundsInEach(scale) + scale.rounds / 2) * pair;
  const others = (casesOf(scale).length - JUDGED.length) * (scale.rounds + 1) * 1.5 * pair;
  return casesOf(scale).length * 0.3 + (judged + others + renewalMs(scale, SIDES.length)) / 1000;
}

async function answer(workshop: Workshop): Promise<Answer> {
  const results = await measure(workshop);
  return {
    words: [`${JUDGED.map(nameOf).join('; ')}, sixteen at once: ${generationsInWords(workshop.scale)}`],
    conclusions: conclusionsOf(results),
    tables: [cpuTable(results), aloneTable(results)],
    plots: [ratesPlot(results), splitPlot(results)],
    measured: measuredOf(results),
    ...doubts(results),
    natively: nativelyIn(results.map((each) => [each, each.batch.native])),
    raw: results,
  };
}

export const handshakes: Question = {
  name: 'handshakes',
  title: 'Full handshakes',
  asks: 'what a full handshake costs, by kind of key and version',
  edges: SIDES,
  rounds: ({ rounds }: Scale) => rounds,
  mostRounds: roundsOfAll,
  seconds,
  answer,
};

/** What does a full handshake cost, with its key native and on a key server? */
import { type Case, compare, nameOf } from '../comparison.ts';
import type { Answer, Question } from '../question.ts';
import { CONCURRENT, type Scale } from '../scale.ts';
import { signatureCpuMs } from '../sites.ts';
import type { Workshop } from '../workshop.ts';
import type { Result } from './handshakes-result.ts';
import { aloneTable, cpuTable, ratesPlot, splitPlot } from './handshakes-shown.ts';
import { conclusionsOf, doubts, measuredOf, wordsOf } from './handshakes-words.ts';

const POST_QUANTUM = 'X25519MLKEM768';
const QUICK_CASES: readonly Case[] = [
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
  if (quick) return QUICK_CASES;
  const postQuantum: Case = { site: 'P-256', version: 'TLSv1.3', group: POST_QUANTUM };
  return [...QUICK_CASES, ...MORE_CASES, ...(hasPostQuantum() ? [postQuantum] : [])];
}

async function measure(workshop: Workshop, which: Case): Promise<Result> {
  workshop.say(nameOf(which));
  const sides = ['native', 'remote'] as const;
  return {
    ...which,
    signatureCpuMs: signatureCpuMs(workshop.files, which.site),
    batch: await compare(workshop, sides, which, CONCURRENT),
    alone: await compare(workshop, sides, which, 1, workshop.scale.roundMs / 2),
  };
}

/** Rounds and one uncounted round of both edges, sixteen at once, and alone for half as long. */
const seconds = (scale: Scale) =>
  casesOf(scale).length * (0.3 + ((scale.rounds + 1) * 2 * 1.5 * (scale.roundMs + 40)) / 1000);

async function answer(workshop: Workshop): Promise<Answer> {
  const results: Result[] = [];
  for (const which of casesOf(workshop.scale)) results.push(await measure(workshop, which));
  return {
    words: wordsOf(results),
    conclusions: conclusionsOf(results),
    tables: [cpuTable(results), aloneTable(results)],
    plots: [ratesPlot(results), splitPlot(results)],
    measured: measuredOf(results),
    ...doubts(results),
    raw: results,
  };
}

export const handshakes: Question = {
  name: 'handshakes',
  title: 'Full handshakes',
  asks: 'what a full handshake costs, by kind of key and version',
  edges: ['native', 'remote'],
  rounds: ({ rounds }: Scale) => rounds,
  seconds,
  answer,
};

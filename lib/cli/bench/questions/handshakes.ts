/** What does a full handshake cost, with its key native and on a key server? */
import { type Case, compare, nameOf } from '../comparison.ts';
import { doubtsOf } from '../doubts.ts';
import { number, perSecond, share, spread, times } from '../figures-in-words.ts';
import type { Answer, Plot, Question, Table, Verdict } from '../question.ts';
import { type Figure, figuresIn, medianOf, ratioOf } from '../rounds.ts';
import type { Sample } from '../sample.ts';
import { CONCURRENT, type Scale } from '../scale.ts';
import { type Site, signatureCpuMs } from '../sites.ts';
import type { Workshop } from '../workshop.ts';

type Sides = Readonly<Record<'native' | 'remote', readonly Sample[]>>;

export interface Result extends Case {
  /** Sixteen at once. */
  readonly batch: Sides;
  /** One after the other. */
  readonly alone: Sides;
  /** Of one signature, by node:crypto. */
  readonly signatureCpuMs: number;
}

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

function sumOf(samples: readonly Sample[], native: boolean): number {
  const keyServer = native ? 0 : medianOf(samples, 'keyServerCpuMs');
  return medianOf(samples, 'edgeCpuMs') + keyServer + medianOf(samples, 'clientCpuMs');
}

function cpuTable(results: readonly Result[]): Table {
  return {
    columns: [
      'edge CPU, ms',
      'native',
      'remote',
      'ratio',
      'key server',
      'clients',
      'sum, native → remote',
      'each edge core, /s',
      'clients, of a core',
    ],
    rows: results.map((result) => {
      const { native, remote } = result.batch;
      const utilisation = (samples: readonly Sample[]) => share(medianOf(samples, 'clientUtilisation'));
      const rate = (samples: readonly Sample[]) => perSecond(1000 / medianOf(samples, 'edgeCpuMs'));
      return [
        nameOf(result),
        spread(figuresIn(native, 'edgeCpuMs')),
        spread(figuresIn(remote, 'edgeCpuMs')),
        times(ratioOf(remote, native)),
        spread(figuresIn(remote, 'keyServerCpuMs')),
        spread(figuresIn(remote, 'clientCpuMs')),
        `${number(sumOf(native, true))} → ${number(sumOf(remote, false))}`,
        `${rate(native)} → ${rate(remote)}`,
        `${utilisation(native)} → ${utilisation(remote)}`,
      ];
    }),
  };
}

function aloneTable(results: readonly Result[]): Table {
  const latency = (samples: readonly Sample[], figure: Figure) => spread(figuresIn(samples, figure));
  return {
    columns: [
      'one at a time, ms',
      'native, median',
      'remote, median',
      'native, p99',
      'remote, p99',
      'edge CPU ratio',
    ],
    rows: results.map((result) => {
      const { native, remote } = result.alone;
      return [
        nameOf(result),
        latency(native, 'medianMs'),
        latency(remote, 'medianMs'),
        latency(native, 'p99Ms'),
        latency(remote, 'p99Ms'),
        times(ratioOf(remote, native)),
      ];
    }),
  };
}

function ratesPlot(results: readonly Result[]): Plot {
  const bar = (label: string, samples: readonly Sample[]) => ({
    label,
    parts: [{ name: label, value: 1000 / medianOf(samples, 'edgeCpuMs') }],
  });
  return {
    kind: 'bars',
    title: 'Full handshakes for each second of an edge core',
    unit: '/s',
    groups: results.map((result) => ({
      label: nameOf(result),
      bars: [bar('native', result.batch.native), bar('remote', result.batch.remote)],
    })),
  };
}

function splitPlot(results: readonly Result[]): Plot {
  return {
    kind: 'bars',
    title: 'Where the CPU time of a full handshake goes',
    unit: 'ms',
    groups: results.map((result) => {
      const native = medianOf(result.batch.native, 'edgeCpuMs');
      const keyServer = medianOf(result.batch.remote, 'keyServerCpuMs');
      const signature = Math.min(result.signatureCpuMs, native);
      const remote = [{ name: 'edge', value: medianOf(result.batch.remote, 'edgeCpuMs') }];
      if (Number.isFinite(keyServer)) remote.push({ name: 'key server', value: keyServer });
      return {
        label: nameOf(result),
        bars: [
          {
            label: 'native',
            parts: [
              { name: 'edge', value: native - signature },
              { name: 'signature, on the edge', value: signature },
            ],
          },
          { label: 'remote', parts: remote },
        ],
      };
    }),
  };
}

function wordsOf(results: readonly Result[]): string[] {
  const sentences = results
    .filter(({ version, group }) => version === 'TLSv1.3' && group === undefined)
    .map((result) => {
      const { native, remote } = result.batch;
      const total = sumOf(remote, false) / sumOf(native, true);
      const gain = 1 / ratioOf(remote, native);
      return (
        `${nameOf(result)}: remote, the edge spends ${times(ratioOf(remote, native))} the CPU of native, ` +
        `${times(gain)} the handshakes for each edge core; of native, the signature is ` +
        `${share(result.signatureCpuMs / medianOf(native, 'edgeCpuMs'))}. ` +
        `Edge, key server and clients together spend ${times(total)}.`
      );
    });
  return [
    ...sentences,
    'The gain is for each edge core: the signature is still made, elsewhere, and asking for it costs.',
  ];
}

function verdictsOf(results: readonly Result[]): Verdict[] {
  const of = (site: Site) =>
    results.find((each) => each.site === site && each.version === 'TLSv1.3' && each.group === undefined);
  const [rsa, p256] = [of('RSA-2048'), of('P-256')];
  const verdicts: Verdict[] = [];
  if (rsa !== undefined) {
    const ratio = ratioOf(rsa.batch.remote, rsa.batch.native);
    verdicts.push(
      { claim: 'RSA-2048, TLS 1.3: edge CPU, remote over native', measured: ratio, most: 0.52, unit: '×' },
      {
        claim: 'RSA-2048, TLS 1.3: handshakes for each edge core',
        measured: 1 / ratio,
        least: 1.9,
        unit: '×',
      },
    );
  }
  if (p256 !== undefined) {
    const measured = ratioOf(p256.batch.remote, p256.batch.native);
    verdicts.push({ claim: 'P-256, TLS 1.3: edge CPU, remote over native', measured, most: 1.08, unit: '×' });
  }
  return verdicts;
}

/** Every remote handshake has an operation of its own: none was resumed. */
function doubts(results: readonly Result[]): string[] {
  const samples = results
    .flatMap(({ batch, alone }) => [batch, alone])
    .flatMap(({ native, remote }) => [...native, ...remote]);
  const remote = results.flatMap(({ batch, alone }) => [...batch.remote, ...alone.remote]);
  const notFull =
    samples.some(({ resumed }) => resumed > 0) || remote.some(({ operations }) => operations !== 1);
  const found = doubtsOf(samples);
  if (notFull) found.push('Not every remote handshake had one operation: not all handshakes were full ones.');
  return found;
}

/** Rounds and one uncounted round of both edges, sixteen at once, and alone for half as long. */
const seconds = (scale: Scale) =>
  casesOf(scale).length * (0.3 + ((scale.rounds + 1) * 2 * 1.5 * (scale.roundMs + 40)) / 1000);

async function answer(workshop: Workshop): Promise<Answer> {
  const results: Result[] = [];
  for (const which of casesOf(workshop.scale)) results.push(await measure(workshop, which));
  return {
    words: wordsOf(results),
    tables: [cpuTable(results), aloneTable(results)],
    plots: [ratesPlot(results), splitPlot(results)],
    verdicts: verdictsOf(results),
    warnings: doubts(results),
    raw: results,
  };
}

export const handshakes: Question = {
  name: 'handshakes',
  title: 'Full handshakes',
  asks: 'what a full handshake costs, by kind of key and version',
  edges: ['native', 'remote'],
  seconds,
  answer,
};

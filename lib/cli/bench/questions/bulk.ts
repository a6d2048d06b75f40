/** What does a byte cost after the handshake? The key takes no part in it: as much as natively. */
import { bottleneckBetween } from '../bottleneck.ts';
import { busyClients, type Doubts, disturbanceOf, withMore } from '../doubts.ts';
import { ratioEstimate } from '../estimate.ts';
import { share, spread, times } from '../figures-in-words.ts';
import {
  eachGeneration,
  generationsInWords,
  generationsOf,
  joined,
  renewalMs,
  roundsInEach,
  roundsOfAll,
} from '../generations.ts';
import type { Answer, Question } from '../question.ts';
import { interleave } from '../rounds.ts';
import type { Scale } from '../scale.ts';
import { median } from '../statistics.ts';
import type { Waits } from '../waits.ts';
import type { Workshop } from '../workshop.ts';

interface Transfer {
  /** CPU seconds of the edge for 10^9 bytes. */
  readonly edgeCpuSeconds: number;
  /** 10^6 bytes a second. */
  readonly megabytesPerSecond: number;
  /** CPU over the time, of either side. */
  readonly edgeUtilisation: number;
  readonly clientUtilisation: number;
  readonly waits: Waits;
}

const SIDES = ['native', 'remote'] as const;
const CHUNK = 65_536;
/** About what an edge sends in a millisecond. */
const BYTES_PER_MS = 600_000;

/** The handshake is one of millions of bytes: its part is nothing. */
const bytesOf = ({ roundMs }: Scale) => Math.ceil((roundMs * BYTES_PER_MS) / CHUNK) * CHUNK;

async function transfer(workshop: Workshop, side: (typeof SIDES)[number]): Promise<Transfer> {
  const edge = await workshop.edge(side);
  const bytes = bytesOf(workshop.scale);
  const before = await edge.figures();
  const plan = { kind: 'bulk', version: 'TLSv1.3', port: edge.ports['P-256']!, bytes } as const;
  const [{ wallMs, utilisation }, waits] = await workshop.watched([edge], () => workshop.clients.run(plan));
  const { cpuMs } = await edge.figures();
  return {
    edgeCpuSeconds: ((cpuMs - before.cpuMs) / 1000 / bytes) * 1e9,
    megabytesPerSecond: bytes / 1000 / wallMs,
    edgeUtilisation: (cpuMs - before.cpuMs) / wallMs,
    clientUtilisation: utilisation,
    waits,
  };
}

async function ofOneGeneration(workshop: Workshop) {
  for (const side of SIDES) await transfer(workshop, side);
  const contestants = {
    native: () => transfer(workshop, 'native'),
    remote: () => transfer(workshop, 'remote'),
  };
  return interleave(contestants, roundsInEach(workshop.scale));
}

type Sides = Readonly<Record<(typeof SIDES)[number], readonly Transfer[]>>;
type Figure = Exclude<keyof Transfer, 'waits'>;

const figures = (all: readonly Transfer[], figure: Figure) => all.map((each) => each[figure]);
const middle = (all: readonly Transfer[], figure: Figure) => median(figures(all, figure));
const bottleneckOf = (all: readonly Transfer[]) =>
  bottleneckBetween(middle(all, 'edgeUtilisation'), middle(all, 'clientUtilisation'));

/** @returns whose rate it is, where it is not the edge's */
export function rateInWords(sides: Sides): string[] {
  if (SIDES.every((side) => bottleneckOf(sides[side]) === 'edge')) return [];
  const busy = (figure: Figure) => SIDES.map((side) => share(middle(sides[side], figure))).join(' and ');
  return [
    `How many megabytes a second there are says nothing of the edge: natively and remote it used ${busy('edgeUtilisation')} of its core, the client ${busy('clientUtilisation')} of its own.`,
  ];
}

/** A rate of clients that are full is theirs. */
export function doubts(sides: Sides): Doubts {
  const limited = Object.entries(sides).filter(([, all]) => bottleneckOf(all) === 'clients');
  return withMore(disturbanceOf(sides), ...busyClients(Object.fromEntries(limited)));
}

async function answer(workshop: Workshop): Promise<Answer> {
  const { scale } = workshop;
  const sides = joined(await eachGeneration(workshop, SIDES, () => ofOneGeneration(workshop)));
  const { native, remote } = sides;
  const cpu = (all: readonly Transfer[]) => figures(all, 'edgeCpuSeconds');
  const rate = (all: readonly Transfer[]) => figures(all, 'megabytesPerSecond');
  const busy = (name: string, figure: Figure) => [
    ...[name, spread(figures(native, figure), share), spread(figures(remote, figure), share), ''],
  ];
  const ratio = median(cpu(remote)) / median(cpu(native));
  return {
    words: [generationsInWords(scale)],
    conclusions: [
      ...rateInWords(sides),
      `After the handshake no key takes part, and a byte costs ${times(ratio)} the CPU of native.`,
    ],
    tables: [
      {
        columns: ['one connection, TLS 1.3', 'native', 'remote', 'ratio'],
        rows: [
          ['edge CPU for a gigabyte, s', spread(cpu(native)), spread(cpu(remote)), times(ratio)],
          [
            'megabytes a second',
            spread(rate(native), (value) => value.toFixed(0)),
            spread(rate(remote), (value) => value.toFixed(0)),
            times(median(rate(remote)) / median(rate(native))),
          ],
          busy('edge, of its core', 'edgeUtilisation'),
          busy('client, of its core', 'clientUtilisation'),
        ],
      },
    ],
    plots: [],
    measured: [{ target: 'bulk', ...ratioEstimate(cpu(remote), cpu(native), generationsOf(scale)) }],
    ...doubts(sides),
    raw: { bytes: bytesOf(scale), generations: generationsOf(scale), native, remote },
  };
}

function seconds(scale: Scale): number {
  const rounds = generationsOf(scale) * (roundsInEach(scale) + 1);
  return (2 * rounds * (scale.roundMs + 40) + renewalMs(scale, SIDES.length)) / 1000;
}

export const bulk: Question = {
  name: 'bulk',
  title: 'Bulk transfer',
  asks: 'what a byte costs after the handshake',
  edges: SIDES,
  rounds: roundsOfAll,
  seconds,
  answer,
};

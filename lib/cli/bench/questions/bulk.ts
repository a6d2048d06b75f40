/** What does a byte cost after the handshake? The key takes no part in it: as much as natively. */
import { disturbanceOf, type Groups } from '../doubts.ts';
import { ratioEstimate } from '../estimate.ts';
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
  const [{ wallMs }, waits] = await workshop.watched([edge], () => workshop.clients.run(plan));
  const { cpuMs } = await edge.figures();
  return {
    edgeCpuSeconds: ((cpuMs - before.cpuMs) / 1000 / bytes) * 1e9,
    megabytesPerSecond: bytes / 1000 / wallMs,
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

async function answer(workshop: Workshop): Promise<Answer> {
  const { scale } = workshop;
  const { native, remote } = joined(await eachGeneration(workshop, SIDES, () => ofOneGeneration(workshop)));
  const cpu = (all: readonly Transfer[]) => all.map(({ edgeCpuSeconds }) => edgeCpuSeconds);
  const rate = (all: readonly Transfer[]) => all.map(({ megabytesPerSecond }) => megabytesPerSecond);
  const ratio = median(cpu(remote)) / median(cpu(native));
  return {
    words: [
      `After the handshake no key takes part, and a byte costs ${times(ratio)} the CPU of native.`,
      generationsInWords(scale),
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
        ],
      },
    ],
    plots: [],
    measured: [{ target: 'bulk', ...ratioEstimate(cpu(remote), cpu(native), generationsOf(scale)) }],
    ...disturbanceOf({ native, remote } satisfies Groups<Transfer>),
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

/** What samples say against themselves. */
import { share } from './figures-in-words.ts';
import type { Sample } from './sample.ts';
import { median } from './statistics.ts';
import { SIDES, type Waits } from './waits.ts';

/** A process that reaches this share of a core is what limits wall times. */
export const BUSY = 0.95;
/** How far two accounts of the same CPU time may be apart: one is read a moment after the other. */
const APART = 0.1;
/** Shares of the time, in the median of the rounds: more than a quiet machine's own services take. */
const MOST_WAITING: Readonly<Record<keyof Waits, number>> = {
  edge: 0.05,
  'key server': 0.1,
  clients: 0.1,
  stolen: 0.03,
};

export interface Doubts {
  readonly warnings: readonly string[];
  /** Others had the cores: what was measured is no verdict. */
  readonly disturbed: boolean;
}

export interface Watched {
  readonly waits: Waits;
}

/** Rounds of one contestant each, by what it is called. */
export type Groups<Each> = Readonly<Record<string, readonly Each[]>>;

type Figure<Each> = (one: Each) => number | undefined;

/** NaN: no round has it. */
function middle<Each>(group: readonly Each[], figure: Figure<Each>): number {
  return median(
    group.map(figure).filter((value) => value !== undefined && Number.isFinite(value)) as number[],
  );
}

/** @returns `name 97 %` for each group that has too much, at most three of them */
function over<Each>(groups: Groups<Each>, figure: Figure<Each>, most: number): string | undefined {
  const found = Object.entries(groups)
    .map(([name, group]) => [name, middle(group, figure)] as const)
    .filter(([, value]) => value > most)
    .sort(([, one], [, other]) => other - one);
  if (found.length === 0) return undefined;
  const shown = found.slice(0, 3).map(([name, value]) => `${name} ${share(value)}`);
  return [...shown, ...(found.length > 3 ? [`${found.length - 3} more`] : [])].join('; ');
}

const WHO: Readonly<Record<keyof Waits, string>> = {
  edge: 'the edge waited for its core',
  'key server': 'the key server waited for its core',
  clients: 'the clients waited for theirs',
  stolen: 'the host of this machine gave its cores to others',
};

/** Whether other programs were there. Group by group: the median of all would hide half of them. */
export function disturbanceOf(groups: Groups<Watched>): Doubts {
  const found = ([...SIDES, 'stolen'] as const).flatMap((side) => {
    const where = over(groups, ({ waits }) => waits[side], MOST_WAITING[side]);
    return where === undefined ? [] : [`${WHO[side]} (share of the time: ${where})`];
  });
  if (found.length === 0) return { warnings: [], disturbed: false };
  return {
    warnings: [`Other programs disturbed this: ${found.join(', ')}. Its figures are not certain.`],
    disturbed: true,
  };
}

/** @returns how busy the clients were, where they may have been what limits rates */
export function busyClients(groups: Groups<{ readonly clientUtilisation: number }>): string[] {
  const busy = over(groups, ({ clientUtilisation }) => clientUtilisation, BUSY);
  if (busy === undefined) return [];
  return [
    `The clients used all of a core (${busy}): rates and latencies are limited by them. CPU times for each handshake are not.`,
  ];
}

/** @returns sentences; none: nothing was found */
export function doubtsOf(groups: Groups<Sample>): Doubts {
  const { warnings, disturbed } = disturbanceOf(groups);
  const found = [...warnings, ...busyClients(groups)];
  const apart = over(
    groups,
    ({ clientUtilisation, clientUtilisationByKernel = Number.NaN }) =>
      Math.abs(clientUtilisationByKernel - clientUtilisation),
    APART,
  );
  if (apart !== undefined) {
    found.push(
      `The clients and the kernel do not agree on the CPU that the clients used (by so much of a core: ${apart}).`,
    );
  }
  if (Object.values(groups).some((group) => group.some(({ agreement }) => agreement !== 1))) {
    found.push('Edge and clients counted different numbers of handshakes.');
  }
  return { warnings: found, disturbed };
}

/** With sentences of a question's own. */
export function withMore({ warnings, disturbed }: Doubts, ...more: readonly string[]): Doubts {
  return { warnings: [...warnings, ...more], disturbed };
}

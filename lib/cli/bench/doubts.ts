/** What samples say against themselves. */
import { BUSY, bottleneckOf } from './bottleneck.ts';
import { miscounted } from './counted.ts';
import { share } from './figures-in-words.ts';
import type { Sample } from './sample.ts';
import { median } from './statistics.ts';
import { SIDES, type Waits } from './waits.ts';

/** How far two accounts of the same CPU time may be apart: one is read a moment after the other. */
const APART = 0.1;
/** Shares of the time, in the median of the rounds: more than a quiet machine's own services take. */
const MOST_WAITING: Readonly<Record<keyof Waits, number>> = {
  edge: 0.05,
  'key server': 0.1,
  clients: 0.1,
  stolen: 0.03,
  // None is the machine's own.
  standstill: 0,
};

export interface Doubts {
  readonly warnings: readonly string[];
  /** It is not what was to be measured: no target is met or not by it, and nothing follows from it. */
  readonly disowned: boolean;
  /** Others had the cores, or the benchmark stood still, in the rounds of some contestant: nothing follows, and no target that is computed from such rounds is met or not. */
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

const WHO: Readonly<Record<Exclude<(typeof OTHERS)[number], 'edge'>, string>> = {
  'key server': 'the key server waited for its core',
  clients: 'the clients waited for theirs',
  stolen: 'the host of this machine gave its cores to others',
};
const OTHERS = [...SIDES, 'stolen'] as const;

/** @returns a sentence where the system does not say of the measured processes whether others had their cores */
function unwatched(groups: Groups<Watched>): string[] {
  const all = Object.values(groups).flat();
  const isTold = all.some(({ waits }) => SIDES.some((side) => waits[side] !== undefined));
  if (all.length === 0 || isTold) return [];
  return [
    'This system does not say how long processes wait for their cores: whether other programs disturbed this is not known.',
  ];
}

const WAITING = [...OTHERS, 'standstill'] as const;

/** Whether other programs were there, or it stood still, in the rounds of any of these contestants. */
export function isDisturbed(...contestants: readonly (readonly Watched[])[]): boolean {
  const isOver = (group: readonly Watched[], side: keyof Waits) =>
    middle(group, ({ waits }) => waits[side]) > MOST_WAITING[side];
  return contestants.some((group) => WAITING.some((side) => isOver(group, side)));
}

function standstillOf(groups: Groups<Watched>): string[] {
  const where = over(groups, ({ waits }) => waits.standstill, MOST_WAITING.standstill);
  if (where === undefined) return [];
  return [
    `The benchmark itself stood still meanwhile (stopped; share of the time: ${where}). Its figures are not certain.`,
  ];
}

function othersIn(groups: Groups<Watched>, measured: string): string[] {
  const found = OTHERS.flatMap((side) => {
    const where = over(groups, ({ waits }) => waits[side], MOST_WAITING[side]);
    const waited = side === 'edge' ? `${measured} waited for its core` : WHO[side];
    return where === undefined ? [] : [`${waited} (share of the time: ${where})`];
  });
  if (found.length === 0) return [];
  return [`Other programs disturbed this: ${found.join(', ')}. Its figures are not certain.`];
}

/** What kept it from running. Group by group: the median of all would hide half of them. @param measured who {@link Waits.edge} is */
export function disturbanceOf(groups: Groups<Watched>, measured = 'the edge'): Doubts {
  const found = [...othersIn(groups, measured), ...standstillOf(groups)];
  return { warnings: [...found, ...unwatched(groups)], disowned: false, disturbed: found.length > 0 };
}

/** @returns how busy the clients were, where they may have been what limits rates */
export function busyClients(groups: Groups<{ readonly clientUtilisation: number }>): string[] {
  const busy = over(groups, ({ clientUtilisation }) => clientUtilisation, BUSY);
  if (busy === undefined) return [];
  return [
    `The clients used all of a core (${busy}): rates and latencies are limited by them. CPU times for each handshake or byte are not.`,
  ];
}

export function doubtsOf(groups: Groups<Sample>): Doubts {
  const found = disowning(disturbanceOf(groups), ...miscounted(Object.values(groups).flat()));
  const apart = over(
    groups,
    ({ clientUtilisation, clientUtilisationByKernel = Number.NaN }) =>
      Math.abs(clientUtilisationByKernel - clientUtilisation),
    APART,
  );
  const accounts =
    apart === undefined
      ? []
      : [
          `The clients and the kernel do not agree on the CPU that the clients used (by so much of a core: ${apart}).`,
        ];
  // An edge that is full as well is what limits them.
  const others = Object.entries(groups).filter(([, group]) => bottleneckOf(group) !== 'edge');
  return withMore(found, ...busyClients(Object.fromEntries(others)), ...accounts);
}

/** With sentences that limit what figures say, and leave them what they are. */
export function withMore({ warnings, ...others }: Doubts, ...more: readonly string[]): Doubts {
  return { ...others, warnings: [...warnings, ...more] };
}

/** With sentences after each of which figures are not what they were to be. */
export function disowning({ warnings, disowned, disturbed }: Doubts, ...reasons: readonly string[]): Doubts {
  return { warnings: [...warnings, ...reasons], disowned: disowned || reasons.length > 0, disturbed };
}

/** Contestants in turn: A B, B A, …; what changes on the machine meanwhile changes for all of them. */
import { type Estimate, ratioEstimate } from './estimate.ts';
import type { Sample } from './sample.ts';
import { median } from './statistics.ts';

type Contestants = Readonly<Record<string, (round: number) => Promise<unknown>>>;
type Round<Each extends Contestants> = { [Name in keyof Each]: Awaited<ReturnType<Each[Name]>> };
type Rounds<Each extends Contestants> = { [Name in keyof Each]: Awaited<ReturnType<Each[Name]>>[] };

/** One round of each; @param round from 0 on: every second one begins with the last */
export async function inTurn<Each extends Contestants>(
  contestants: Each,
  round: number,
): Promise<Round<Each>> {
  const all = Object.entries(contestants);
  const values: Record<string, unknown> = {};
  for (const [name, measure] of round % 2 === 0 ? all : all.toReversed()) values[name] = await measure(round);
  return values as Round<Each>;
}

/**
 * @param contestants each measures one round
 * @returns what each measured, by its name, in the order of the rounds
 */
export async function interleave<Each extends Contestants>(
  contestants: Each,
  rounds: number,
): Promise<Rounds<Each>> {
  const all: Round<Each>[] = [];
  for (let round = 0; round < rounds; round += 1) all.push(await inTurn(contestants, round));
  const names = Object.keys(contestants) as (keyof Each)[];
  return Object.fromEntries(names.map((name) => [name, all.map((each) => each[name])])) as Rounds<Each>;
}

export type Figure = {
  [Key in keyof Sample]: Sample[Key] extends number | undefined ? Key : never;
}[keyof Sample];

/** @returns one figure of every round; those that a system does not tell are left out */
export function figuresIn(samples: readonly Sample[], figure: Figure): number[] {
  return samples.map((sample) => sample[figure]).filter((value) => value !== undefined);
}

/** Median of one figure over the rounds; NaN where the system does not tell. */
export function medianOf(samples: readonly Sample[], figure: Figure): number {
  return median(figuresIn(samples, figure));
}

/** The same, with between what it is. @param generations of processes; see {@link ratioEstimate} */
export function estimateOf(
  of: readonly Sample[],
  to: readonly Sample[],
  generations = 1,
  figure: Figure = 'edgeCpuMs',
): Estimate {
  return ratioEstimate(figuresIn(of, figure), figuresIn(to, figure), generations);
}

/** Share of a core that an edge used; of several edges, in sum. */
export function edgeUtilisation(samples: readonly Sample[]): number {
  return median(samples.map(({ perSecond, edgeCpuMs }) => (perSecond * edgeCpuMs) / 1000));
}

/** Median of one contestant over that of another. */
export function ratioOf(of: readonly Sample[], to: readonly Sample[], figure: Figure = 'edgeCpuMs'): number {
  return medianOf(of, figure) / medianOf(to, figure);
}

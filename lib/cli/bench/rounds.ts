/** Contestants in turn: A B, B A, …; what changes on the machine meanwhile changes for all of them. */
import type { Sample } from './sample.ts';
import { median } from './statistics.ts';

/**
 * @param contestants each measures one round
 * @returns what each measured, by its name, in the order of the rounds
 */
export async function interleave<Name extends string, Value>(
  contestants: Readonly<Record<Name, () => Promise<Value>>>,
  rounds: number,
): Promise<Record<Name, Value[]>> {
  const names = Object.keys(contestants) as Name[];
  const values = Object.fromEntries(names.map((name) => [name, []])) as unknown as Record<Name, Value[]>;
  for (let round = 0; round < rounds; round += 1) {
    for (const name of round % 2 === 0 ? names : names.toReversed()) {
      values[name].push(await contestants[name]());
    }
  }
  return values;
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

/** Median of one contestant over that of another. */
export function ratioOf(of: readonly Sample[], to: readonly Sample[], figure: Figure = 'edgeCpuMs'): number {
  return medianOf(of, figure) / medianOf(to, figure);
}

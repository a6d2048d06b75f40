/**
 * What is to be known to a few per cent is asked of several generations of edges: two processes of the same code differ by as much, and
 * rounds of one pair would only say how well that pair is known.
 */
import type { Scale } from './scale.ts';
import type { EdgeName, Workshop } from './workshop.ts';

/** `--quick` has no time for the warm-up of more. */
export const generationsOf = ({ quick }: Scale) => (quick ? 1 : 5);

/** @returns rounds of each generation; of all together at least as many as of other questions */
export const roundsInEach = ({ quick, rounds }: Scale) => (quick ? rounds : Math.ceil(rounds * 0.4));

export const roundsOfAll = (scale: Scale) => generationsOf(scale) * roundsInEach(scale);

/** @returns for what comes after the first generation: milliseconds of start and warm-up */
export const renewalMs = (scale: Scale, edges: number) =>
  (generationsOf(scale) - 1) * edges * (scale.warmUpMs + 400);

export function generationsInWords(scale: Scale): string {
  const count = generationsOf(scale);
  return count === 1
    ? 'One process of each edge: what processes of the same code differ by is not seen, and is allowed for.'
    : `${count} generations of edges, ${roundsInEach(scale)} rounds each: processes of the same code differ, too.`;
}

/** Renews these edges for each generation but the first. @param ask of one generation */
export async function eachGeneration<Answer>(
  workshop: Workshop,
  edges: readonly EdgeName[],
  ask: () => Promise<Answer>,
): Promise<Answer[]> {
  const answers: Answer[] = [];
  while (answers.length < generationsOf(workshop.scale)) {
    if (answers.length > 0) workshop.renew(edges);
    answers.push(await ask());
  }
  return answers;
}

/** @returns the rounds of all generations, one after the other, by what they are of */
export function joined<Name extends string, Round>(
  generations: readonly Readonly<Record<Name, readonly Round[]>>[],
): Record<Name, Round[]> {
  const names = Object.keys(generations[0] ?? {}) as Name[];
  const all = names.map((name) => [name, generations.flatMap((each) => each[name])] as const);
  return Object.fromEntries(all) as Record<Name, Round[]>;
}

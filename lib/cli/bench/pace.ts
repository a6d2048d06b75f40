/** Did the machine keep its pace? What several questions measured alike says so: native handshakes. */
import { ms, times } from './figures-in-words.ts';
import type { Answered } from './question.ts';
import { CONCURRENT } from './scale.ts';

/** More than two processes of the same code are apart, and than what V8 goes on compiling saves. */
const APART = 1.25;

interface Change {
  /** Which handshake, in words. */
  readonly what: string;
  /** Milliseconds, by the title of the question. */
  readonly figures: readonly (readonly [title: string, ms: number])[];
  readonly factor: number;
}

function changeOf(what: string, answers: readonly Answered[]): Change {
  const figures = answers.flatMap(({ title, natively = {} }) => {
    const value = natively[what];
    return value === undefined || !Number.isFinite(value) ? [] : [[title, value] as const];
  });
  const values = figures.map(([, value]) => value);
  return { what, figures, factor: Math.max(...values) / Math.min(...values) };
}

/** @returns the handshake whose figures are furthest apart; `undefined`: none is asked for twice, or all agree */
function changeIn(answers: readonly Answered[]): Change | undefined {
  const kinds = new Set(answers.flatMap(({ natively = {} }) => Object.keys(natively)));
  const changes = [...kinds].map((what) => changeOf(what, answers));
  return changes.filter(({ factor }) => factor > APART).sort((a, b) => b.factor - a.factor)[0];
}

/** Whether a figure that is no ratio depends on when it was measured. */
export const changesPace = (answers: readonly Answered[]) => changeIn(answers) !== undefined;

/** @returns `undefined`: nothing to say */
export function paceWarning(answers: readonly Answered[]): string | undefined {
  const change = changeIn(answers);
  if (change === undefined) return undefined;
  const { what, figures, factor } = change;
  const each = figures.map(([title, value]) => `${ms(value)} ms in "${title}"`).join(', ');
  return (
    `The speed of this machine changed while it was measured, by ${times(factor)}: a native handshake (${what}, ${CONCURRENT} at once) cost its edge ${each}. ` +
    'Milliseconds and rates of one question are not comparable with those of another; ratios within one are.'
  );
}

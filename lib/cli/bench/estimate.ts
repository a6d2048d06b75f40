/**
 * How well a figure is known. Rounds of two contestants are in turn, so that neighbours are compared: what changes on the machine
 * changes for both. An interval is Student's, of 95 %.
 */
import { median } from './statistics.ts';

export type Interval = readonly [least: number, most: number];

/** A figure, and between what it is; `undefined`: there are too few rounds to know. */
export interface Estimate {
  readonly value: number;
  readonly interval: Interval | undefined;
  /** Factor by which it was widened at either end, beyond what rounds say. */
  readonly allowance?: number;
}

/** Quantiles of Student's distribution, two-sided 95 %, by degrees of freedom from 1 on; with more than these, the last one is a little too large. */
const STUDENT = [12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16];

/**
 * Two processes of the same code do not cost the same: V8 compiles at other moments, memory lies elsewhere. By so much, as a factor,
 * native edges were apart from each other that were compared as native and remote are (docs/benchmarks.md). Rounds of one pair of
 * processes do not show it.
 */
export const ONE_PAIR = 1.08;

/** @returns `undefined`: of one value there is no spread */
function intervalOf(values: readonly number[]): Interval | undefined {
  if (values.length < 2 || !values.every(Number.isFinite)) return undefined;
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  const quantile = STUDENT[Math.min(values.length - 1, STUDENT.length) - 1]!;
  const half = quantile * Math.sqrt(squares / (values.length - 1) / values.length);
  return [mean - half, mean + half];
}

/** The figure that tables show is a ratio of medians: it is never outside. */
const around = (value: number, interval: Interval | undefined): Estimate => ({
  value,
  interval: interval && [Math.min(value, interval[0]), Math.max(value, interval[1])],
});

/** @returns the values of each generation, which has equally many */
const inGenerations = (values: readonly number[], generations: number) =>
  Array.from({ length: generations }, (_, index) => {
    const length = values.length / generations;
    return values.slice(index * length, (index + 1) * length);
  });

/**
 * @param of by rounds; @param to rounds in turn with them
 * @param generations pairs of processes that the rounds are of, one after the other
 */
export function ratioEstimate(of: readonly number[], to: readonly number[], generations = 1): Estimate {
  const value = median(of) / median(to);
  const logs = of.map((each, index) => Math.log(each / to[index]!));
  if (generations > 1) {
    const interval = intervalOf(inGenerations(logs, generations).map(median));
    return around(value, interval && [Math.exp(interval[0]), Math.exp(interval[1])]);
  }
  const interval = intervalOf(logs);
  if (interval === undefined) return around(value, undefined);
  const [least, most] = [Math.exp(interval[0]) / ONE_PAIR, Math.exp(interval[1]) * ONE_PAIR];
  return { ...around(value, [least, most]), allowance: ONE_PAIR };
}

/** Of one process in both, which differs from itself by what rounds do. @param of by rounds; @param to rounds in turn with them */
export function withinOne(of: readonly number[], to: readonly number[]): Estimate {
  const interval = intervalOf(of.map((each, index) => Math.log(each / to[index]!)));
  return around(median(of) / median(to), interval && [Math.exp(interval[0]), Math.exp(interval[1])]);
}

/** Of the rounds alone: nothing is left for what processes differ by (docs/benchmarks.md), or each round has its own. */
export function differenceEstimate(of: readonly number[], less: readonly number[]): Estimate {
  const interval = intervalOf(of.map((each, index) => each - less[index]!));
  return around(median(of) - median(less), interval);
}

/** @returns the side of a value that all of the interval is on: 1, above; -1, below; 0, on either or not known */
export function sideOf({ interval }: Estimate, value: number): -1 | 0 | 1 {
  if (interval === undefined || !interval.every(Number.isFinite)) return 0;
  if (interval[0] > value) return 1;
  return interval[1] < value ? -1 : 0;
}

/** Of the ratio the other way round. */
export function inverse({ value, interval, ...more }: Estimate): Estimate {
  return { ...more, value: 1 / value, interval: interval && [1 / interval[1], 1 / interval[0]] };
}

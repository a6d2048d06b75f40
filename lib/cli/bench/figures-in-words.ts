/** How figures are written. */
import type { Estimate, Interval } from './estimate.ts';
import { type Spread, spreadOf } from './statistics.ts';

/** Three significant digits are what a benchmark knows. */
export function number(value: number): string {
  if (!Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3);
}

/** As {@link number}, of a difference. */
export const signed = (value: number) => `${value < 0 ? '-' : '+'}${number(Math.abs(value))}`;

const MOST_DIGITS = 9;

/** As {@link number}, with as many digits as it takes to be seen on its side of these limits. */
export function apart(value: number, limits: readonly number[]): string {
  const isSeen = (text: string) =>
    limits.every((limit) => Math.sign(Number(text) - limit) === Math.sign(value - limit));
  const [short, digits] = [number(value), (/\.(\d*)/.exec(number(value))?.[1] ?? '').length];
  const longer = Array.from({ length: MOST_DIGITS - digits }, (_, index) =>
    value.toFixed(digits + 1 + index),
  );
  return [short, ...longer].find(isSeen) ?? short;
}

export const ms = (value: number) => (Number.isFinite(value) ? value.toFixed(3) : '–');

export const times = (value: number) => (Number.isFinite(value) ? `${value.toFixed(2)} ×` : '–');

export const share = (value: number) => (Number.isFinite(value) ? `${Math.round(value * 100)} %` : '–');

export const perSecond = (value: number) => (Number.isFinite(value) ? `${Math.round(value)}` : '–');

/** @returns for example ` (0.980 to 1.02)`; nothing where that is not known */
export function between(interval: Interval | undefined, write = number): string {
  return interval === undefined ? '' : ` (${write(interval[0])} to ${write(interval[1])})`;
}

/** @param of what of it that is; @returns for example `0.250 ms more in the median (0.200 to 0.300)`: of less than nothing, how much less */
export function moreOrLess({ value, interval }: Estimate, unit: string, of = ''): string {
  const range = interval !== undefined && value < 0 ? ([-interval[1], -interval[0]] as const) : interval;
  return `${number(Math.abs(value))} ${unit} ${value < 0 ? 'less' : 'more'}${of}${between(range)}`;
}

/** A median and, in parentheses, the smallest and the largest of the rounds. */
export function spread(values: readonly number[], write = ms): string {
  const { median, least, most }: Spread = spreadOf(values);
  return Number.isFinite(median) ? `${write(median)} (${write(least)}–${write(most)})` : '–';
}

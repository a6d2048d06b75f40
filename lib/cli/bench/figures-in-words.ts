/** How figures are written. */
import { type Spread, spreadOf } from './statistics.ts';

/** Three significant digits are what a benchmark knows. */
export function number(value: number): string {
  if (!Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3);
}

export const ms = (value: number) => (Number.isFinite(value) ? value.toFixed(3) : '–');

export const times = (value: number) => (Number.isFinite(value) ? `${value.toFixed(2)} ×` : '–');

export const share = (value: number) => (Number.isFinite(value) ? `${Math.round(value * 100)} %` : '–');

export const perSecond = (value: number) => (Number.isFinite(value) ? `${Math.round(value)}` : '–');

/** A median and, in parentheses, the smallest and the largest of the rounds. */
export function spread(values: readonly number[], write = ms): string {
  const { median, least, most }: Spread = spreadOf(values);
  return Number.isFinite(median) ? `${write(median)} (${write(least)}–${write(most)})` : '–';
}

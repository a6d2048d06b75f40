/** When a second request goes out. */
import type { LaneName } from './lane.ts';

/** What is known of how long a key server takes for operations of a kind, milliseconds. */
export interface Timed {
  /** What nearly all answers keep to; `undefined`: too few came to say. */
  p95Ms(lane: LaneName, now: number): number | undefined;
  averageMs(lane: LaneName, now: number): number;
}

/** While too little is known of how long key servers take. */
const DEFAULT_MS = 50;
/** Below it, timers and the loop decide who is late. */
const MIN_MS = 10;
/** At the p95 itself, one in twenty would be late by definition, and the budget gone when it matters. */
const TIMES = 1.5;

/** @returns milliseconds: somewhat more than what the quickest of them nearly always keeps to */
export function hedgeDelayMs(servers: readonly Timed[], lane: LaneName, now: number): number {
  let p95 = Number.POSITIVE_INFINITY;
  let average = Number.POSITIVE_INFINITY;
  for (const server of servers) {
    p95 = Math.min(p95, server.p95Ms(lane, now) ?? Number.POSITIVE_INFINITY);
    average = Math.min(average, server.averageMs(lane, now));
  }
  if (p95 < Number.POSITIVE_INFINITY) return Math.max(MIN_MS, p95 * TIMES);
  return average < Number.POSITIVE_INFINITY ? Math.max(DEFAULT_MS, average * TIMES) : DEFAULT_MS;
}

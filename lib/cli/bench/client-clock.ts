/** The one clock that the threads of a process share: performance.now() begins anew in each. */
const NANOSECONDS_PER_MS = 1e6;

/** Milliseconds since some moment in the past. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / NANOSECONDS_PER_MS;
}

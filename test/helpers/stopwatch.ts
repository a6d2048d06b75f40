/**
 * How long something takes that is to happen soon. Where a machine stalls, or is busy, wall time says so, and nothing of what is
 * tested: here only time counts in which this process goes on. What another one waits for takes as long by either.
 */

const TICK_MS = 5;
/** Of the time between two ticks so much counts. */
const MOST_MS = 2 * TICK_MS;

/** Starts one. @returns what stops it, and tells the milliseconds */
export function stopwatch(): () => number {
  let ms = 0;
  let since = performance.now();
  const tick = () => {
    const now = performance.now();
    ms += Math.min(now - since, MOST_MS);
    since = now;
  };
  const timer = setInterval(tick, TICK_MS).unref();
  return () => {
    clearInterval(timer);
    tick();
    return ms;
  };
}

/** A process that may stand still: how long it is waited for. */

const TICK_MS = 1000;
/** In ticks: more than anything takes that goes on, on a machine that is slow and busy. */
const MOST = 120;

/**
 * It is counted in ticks of this process: where that was stopped itself, and its children with it (Ctrl-Z), no time has passed.
 *
 * @param longerMs that it takes anyway, as was asked for; @param over what to do then, once
 * @returns to be called when the wait is over before
 */
export function watchStandstill(longerMs: number, over: (seconds: number) => void): () => void {
  const most = MOST + Math.ceil(longerMs / TICK_MS);
  let ticks = 0;
  const timer = setInterval(() => {
    ticks += 1;
    if (ticks < most) return;
    clearInterval(timer);
    over((most * TICK_MS) / 1000);
  }, TICK_MS);
  return () => clearInterval(timer);
}

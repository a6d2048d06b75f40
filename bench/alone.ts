/**
 * Was a script alone? For those without a workshop: nobody has a core of its own there, and how long its processes may have waited for each
 * other is no disturbance. Less is seen so than by `keyless-tls bench`.
 */
import type { Placement } from '../lib/cli/bench/cores.ts';
import { disturbanceOf, type Groups, type Watched } from '../lib/cli/bench/doubts.ts';
import { momentOf, type Own, type Waits, waitsBetween, watchOwnStandstill } from '../lib/cli/bench/waits.ts';

const NOWHERE: Placement = { why: 'a script places nobody' };
const own = (pid: number): Own => ({ pid, role: 'anywhere' });

/**
 * Begins to watch.
 *
 * @param there processes of the script that may have the same cores, itself among them
 * @returns to be called while all of them are still there. Of it: `measured` whose waiting counts, `started` what has come since
 */
export function watch(
  there: readonly number[] = [process.pid],
): (measured: number, started?: readonly number[]) => Waits {
  const all = there.map(own);
  const [before, standstill] = [momentOf(all), watchOwnStandstill()];
  return (measured, started = []) => {
    const fresh = started.map(own);
    const after = momentOf([...all, ...fresh]);
    const zero = fresh.map((each) => ({ ...each, ran: 0, mainRan: 0, mainWaited: 0 }));
    const from = { ...before, processes: [...before.processes, ...zero] };
    const stood = standstill() / (after.at - before.at);
    return { ...waitsBetween(from, after, [measured], NOWHERE), standstill: stood };
  };
}

/**
 * Says, under the figures, what disturbed them.
 *
 * @param groups rounds of one contestant each, by what it is called; @param measured who that is; default: the edge
 */
export function tellDisturbance(groups: Groups<Watched>, measured?: string): void {
  for (const warning of disturbanceOf(groups, measured).warnings) console.log(`! ${warning}`);
}

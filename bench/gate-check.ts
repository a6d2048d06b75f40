/** When the gate is passed, and when its canary is: without a measurement, so that this can be tested. */
import { disturbanceOf } from '../lib/cli/bench/doubts.ts';
import { figuresIn } from '../lib/cli/bench/rounds.ts';
import type { Sample } from '../lib/cli/bench/sample.ts';
import { percentile } from '../lib/cli/bench/statistics.ts';
import type { Budget } from './budgets.ts';
import { oneOf } from './tries.ts';

/** Two processes of the same code differ: each of these tries has its own. */
export const TRIES = 3;
/** What the canary wastes, of the remote side's CPU. */
export const SLOWDOWN = 0.3;
/** A machine that is busy for good is not waited for: each takes five seconds or more, and CI has minutes. */
export const MOST_DISTURBED = 8;

export interface Measured {
  /** Of the edge, CPU milliseconds. */
  readonly remoteMs: number;
  /** What the budget limits. */
  readonly cost: number;
  /** What others did meanwhile, in sentences: none, or this measurement decides nothing. */
  readonly disturbed: readonly string[];
}

/** An edge that can be slowed down. */
export interface Subject {
  measure(): Promise<Measured>;
  /** @param ms of CPU to waste for each handshake from now on */
  waste(ms: number): Promise<void>;
  /** From now on it is another process, which wastes nothing. */
  renew(): void;
}

/** Nobody can say of this machine what the edge costs. */
export class Undecided extends Error {
  constructor({ disturbed }: Measured) {
    super(`not decided: ${MOST_DISTURBED} times others had the cores. The last time: ${disturbed.join(' ')}`);
  }
}

/** Others on the machine make rounds dearer and never cheaper, and some of them beside a try that nobody disturbed: the lower quartile. */
const cpuMsOf = (rounds: readonly Sample[]) => percentile(figuresIn(rounds, 'edgeCpuMs'), 0.25);

/** @throws handshakes that had not one operation each: nothing was measured */
export function measuredIn(
  native: readonly Sample[],
  remote: readonly Sample[],
): Measured & { readonly nativeMs: number } {
  if (remote.some(({ operations }) => operations !== 1)) {
    throw new Error('A remote handshake had not one operation: nothing was measured.');
  }
  const [nativeMs, remoteMs] = [cpuMsOf(native), cpuMsOf(remote)];
  const { disturbed, warnings } = disturbanceOf({ native, remote });
  return { nativeMs, remoteMs, cost: remoteMs / nativeMs, disturbed: disturbed ? warnings : [] };
}

/** The same edge, of which only what nobody disturbed is said. Its `measure` @throws {@link Undecided} */
function undisturbed({ measure, ...subject }: Subject): Subject {
  let times = 0;
  return {
    ...subject,
    measure: async () => {
      for (;;) {
        const measured = await measure();
        if (measured.disturbed.length === 0) return measured;
        times += 1;
        if (times === MOST_DISTURBED) throw new Undecided(measured);
      }
    },
  };
}

/** @throws {@link Undecided} */
export function keeps(subject: Subject, { most }: Pick<Budget, 'most'>): Promise<boolean> {
  const { measure, renew } = undisturbed(subject);
  return oneOf(TRIES, async () => (await measure()).cost <= most, renew);
}

/** @returns whether the edge keeps its budget, and the same processes do not when it is slowed down: nothing else has changed */
async function isSeen({ measure, waste }: Subject, { most }: Pick<Budget, 'most'>): Promise<boolean> {
  await waste(0);
  const { remoteMs, cost } = await measure();
  if (cost > most) return false;
  await waste(SLOWDOWN * remoteMs);
  return !(await oneOf(TRIES, async () => (await measure()).cost <= most));
}

/**
 * The canary sings when the gate sees the slowdown, and nothing but it.
 *
 * @throws {@link Undecided}
 */
export function sings(subject: Subject, budget: Pick<Budget, 'most'>): Promise<boolean> {
  const quiet = undisturbed(subject);
  return oneOf(TRIES, () => isSeen(quiet, budget), quiet.renew);
}

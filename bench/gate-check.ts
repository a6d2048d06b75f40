/** When the gate is passed, and when its canary is: without a measurement, so that this can be tested. */
import { figuresIn } from '../lib/cli/bench/rounds.ts';
import type { Sample } from '../lib/cli/bench/sample.ts';
import { percentile } from '../lib/cli/bench/statistics.ts';
import type { Budget } from './budgets.ts';
import { oneOf } from './tries.ts';

/** A busy machine makes a side slower, and not so many times in a row. */
export const TRIES = 3;
/** What the canary wastes, of the remote side's CPU. */
export const SLOWDOWN = 0.3;

export interface Measured {
  /** Of the edge, CPU milliseconds. */
  readonly remoteMs: number;
  /** What the budget limits. */
  readonly cost: number;
}

/** An edge that can be slowed down. */
export interface Subject {
  measure(): Promise<Measured>;
  /** @param ms of CPU to waste for each handshake from now on */
  waste(ms: number): Promise<void>;
}

/** Others on the machine make rounds dearer and never cheaper, and half of them at times: the lower quartile. */
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
  return { nativeMs, remoteMs, cost: remoteMs / nativeMs };
}

export function keeps(subject: Subject, { most }: Pick<Budget, 'most'>): Promise<boolean> {
  return oneOf(TRIES, async () => (await subject.measure()).cost <= most);
}

/** @returns whether the edge keeps its budget, and does not when it is slowed down */
async function isSeen(subject: Subject, budget: Pick<Budget, 'most'>): Promise<boolean> {
  let remoteMs = 0;
  await subject.waste(0);
  const remembering = { ...subject, measure: async () => remember(await subject.measure()) };
  const remember = (measured: Measured) => {
    ({ remoteMs } = measured);
    return measured;
  };
  if (!(await keeps(remembering, budget))) return false;
  await subject.waste(SLOWDOWN * remoteMs);
  return !(await keeps(subject, budget));
}

/** The canary sings when the gate sees the slowdown, and nothing but it. */
export function sings(subject: Subject, budget: Pick<Budget, 'most'>): Promise<boolean> {
  return oneOf(TRIES, () => isSeen(subject, budget));
}

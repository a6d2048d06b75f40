/** Work that a signal may end: what it started ends with it, and the private keys it made are removed. */
import { endingSignal } from '../command.ts';
import { orTheirEnd } from './reason.ts';
import type { Scale } from './scale.ts';
import type { Workshop } from './workshop.ts';
import { Workshops } from './workshops.ts';

/** A signal asked the process to end. What was being measured goes on until it does. */
export class Interrupted extends Error {
  constructor(signal: NodeJS.Signals) {
    super(`${signal}: the benchmark was ended before its time, and nothing is reported.`);
  }
}

/**
 * @param cleanUp removes what the work leaves behind, however it ends: no signal ends the process before that is done
 * @throws (rejects) what the work throws; {@link Interrupted} at a signal that asks the process to end, also where the work
 *   fails because a terminal has told its children, too
 */
export async function unlessInterrupted<T>(
  work: () => Promise<T>,
  cleanUp: () => Promise<void> | void,
): Promise<T> {
  let signal: NodeJS.Signals | undefined;
  const over = new AbortController();
  const interrupted = endingSignal(undefined, over.signal).then((name): never => {
    signal = name;
    throw new Interrupted(name);
  });
  interrupted.catch(() => undefined);
  try {
    // What throws at once leaves something behind, too.
    const begun = new Promise<T>((resolve) => resolve(work()));
    const done = await Promise.race([orTheirEnd(begun, interrupted), interrupted]).finally(cleanUp);
    // One that came while the work was cleaned up is heard as well.
    return signal === undefined ? done : await interrupted;
  } catch (error) {
    throw signal === undefined ? error : new Interrupted(signal);
  } finally {
    over.abort();
  }
}

/** Has the work done, and leaves no workshop open, however that ends. */
export function inWorkshops<T>(
  scale: Scale,
  work: (workshops: Workshops) => Promise<T>,
  say?: (what: string) => void,
): Promise<T> {
  const workshops = new Workshops(scale, say);
  return unlessInterrupted(
    () => work(workshops),
    () => workshops.end(),
  );
}

/** The same with one that is open. @throws (rejects) also that something of it has ended which the work needs */
export function inWorkshop<T>(scale: Scale, work: (workshop: Workshop) => Promise<T>): Promise<T> {
  return inWorkshops(scale, async (workshops) => {
    const workshop = await workshops.current();
    return workshop.during(work(workshop));
  });
}

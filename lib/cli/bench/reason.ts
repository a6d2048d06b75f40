/** Why work has failed: a process that it needs may have ended, or a signal has come to all of them. */
import { setTimeout as pause } from 'node:timers/promises';

/**
 * Of a connection that breaks the work hears before it hears of the end that broke it; and of a terminal's signal, perhaps, after its
 * children's ends.
 */
export const HEARD_MS = 1000;

/**
 * @param ended rejects where the work has ended, or what it needs
 * @throws (rejects) what the work throws, or what `ended` rejects with, where that is heard of soon
 */
export async function orTheirEnd<T>(work: Promise<T>, ended: Promise<never>): Promise<T> {
  // When the work is done they are ended, and nobody listens.
  ended.catch(() => undefined);
  try {
    return await work;
  } catch (error) {
    const heard = new AbortController();
    const { signal } = heard;
    await Promise.race([ended, pause(HEARD_MS, undefined, { signal })]).finally(() => heard.abort());
    throw error;
  }
}

/** Why work has failed that needs other processes: one of them may have ended. */
import { setTimeout as pause } from 'node:timers/promises';

/** Of a connection that breaks the work hears before it hears of the end that broke it. */
const HEARD_MS = 1000;

/**
 * @param ended rejects where a process has ended that the work may need
 * @throws (rejects) what the work throws, or that one has ended, where that is heard of soon
 */
export async function orTheirEnd<T>(work: Promise<T>, ended: Promise<never>): Promise<T> {
  // When the work is done they are ended, and nobody listens.
  ended.catch(() => undefined);
  try {
    return await work;
  } catch (error) {
    await Promise.race([ended, pause(HEARD_MS)]);
    throw error;
  }
}

/**
 * An exception of a user's event handlers goes where it would go natively, and never into a promise of ours or a callback of
 * another connection's.
 */
import { nextTick } from '../timers.ts';

/** From here it goes nowhere else: it is uncaught, soon. */
export function throwLater(error: unknown): void {
  nextTick(() => {
    throw error;
  });
}

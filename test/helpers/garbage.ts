/** The garbage collector, when a test says so. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** What nothing refers to is gone, and finalizers have run. */
export async function collectGarbage(): Promise<void> {
  // What was made or dereferenced in this turn lives until its end.
  await new Promise(setImmediate);
  collect();
  await new Promise(setImmediate);
}

/** At once, and finalizers have not run. */
export function collectNow(): void {
  collect();
}

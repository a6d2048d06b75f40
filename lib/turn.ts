/**
 * What is put off until the end of a turn: a turn of the engine's, in which it goes on with all handshakes that stand parked,
 * or else of Node's event loop. To put off with setImmediate what the engine's turn brought, itself a setImmediate, would be a
 * round of the loop for nothing.
 */

import { setImmediate } from './timers.ts';

let isRunning = false;
let putOff: (() => void)[] = [];

function doWhatIsPutOff(): void {
  const due = putOff;
  putOff = [];
  for (const each of due) each();
}

/** @param work is done now, and is a turn; @throws what it throws, when the turn has ended */
export function asTurn(work: () => void): void {
  isRunning = true;
  try {
    work();
  } finally {
    isRunning = false;
    if (putOff.length > 0) doWhatIsPutOff();
  }
}

/** @param task does not throw; is called once, soon, and not before this returns */
export function atEndOfTurn(task: () => void): void {
  if (isRunning) putOff.push(task);
  else setImmediate(task);
}

/** In order, and whatever one of them throws (a user's event handler does) the others have their turn. */
export function inOrder<T>(items: readonly T[], work: (item: T) => void): void {
  let next = 0;
  try {
    while (next < items.length) {
      const item = items[next] as T;
      next += 1;
      work(item);
    }
  } finally {
    if (next < items.length) setImmediate(() => inOrder(items.slice(next), work));
  }
}

/**
 * Says when it begins, and then when connections are due. A thread of its own, asleep in between: timers of the event loop have steps of a
 * millisecond, and are late when the loop is busy.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { monotonicMs } from './client-clock.ts';
import { gapMs } from './client-gaps.ts';

const { perSecond, ms } = workerData as { readonly perSecond: number; readonly ms: number };
const nothing = new Int32Array(new SharedArrayBuffer(4));

const sleepUntil = (time: number) => {
  const left = time - monotonicMs();
  if (left > 0) Atomics.wait(nothing, 0, 0, left);
};

const begin = monotonicMs();
parentPort?.postMessage(begin);
for (let due = begin + gapMs(perSecond); due < begin + ms; due += gapMs(perSecond)) {
  sleepUntil(due);
  parentPort?.postMessage(due);
}

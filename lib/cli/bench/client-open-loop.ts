/**
 * Connections that begin when they are due, whatever became of those before: a server that falls behind sees its queue
 * grow, and the waiting counts (no coordinated omission).
 */
import { Worker } from 'node:worker_threads';
import { monotonicMs } from './client-clock.ts';
import { handshake } from './client-handshake.ts';
import type { ClientFigures, OpenPlan } from './client-plans.ts';
import { Tally } from './client-tally.ts';
import { mostConnections } from './open-files.ts';

/** Each is an open file. */
const MAX_UNDER_WAY = Math.min(3000, mostConnections());

/** @param onDue called with when it was due, as {@link monotonicMs} */
function pace({ perSecond, ms }: OpenPlan, onDue: (due: number) => void): Promise<void> {
  const worker = new Worker(new URL('./client-pacer.js', import.meta.url), {
    workerData: { perSecond, ms },
  });
  worker.on('message', onDue);
  return new Promise((resolve, reject) => worker.once('exit', () => resolve()).once('error', reject));
}

/** See {@link OpenPlan}. */
export async function openLoop(plan: OpenPlan): Promise<ClientFigures> {
  const tally = new Tally();
  const offset = monotonicMs() - performance.now();
  const underWay = new Set<Promise<void>>();
  const begin = async (due: number): Promise<void> => {
    const connection = handshake(plan, plan.port);
    const { at, error } = await connection.handshake;
    if (at === undefined) tally.fail(error);
    else tally.through(at + offset - due);
    await connection.closed;
  };
  await pace(plan, (due) => {
    if (underWay.size >= MAX_UNDER_WAY) {
      tally.dropped += 1;
      return;
    }
    const one: Promise<void> = begin(due).finally(() => underWay.delete(one));
    underWay.add(one);
  });
  await Promise.all(underWay);
  return tally.figures();
}

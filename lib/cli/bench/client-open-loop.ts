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

interface Paced {
  begun(at: number): void;
  due(at: number): void;
}

/** Both are called with {@link monotonicMs}. */
function pace({ perSecond, ms }: OpenPlan, paced: Paced): Promise<void> {
  const worker = new Worker(new URL('./client-pacer.js', import.meta.url), {
    workerData: { perSecond, ms },
  });
  worker.once('message', (begin: number) => {
    paced.begun(begin);
    worker.on('message', (due: number) => paced.due(due));
  });
  return new Promise((resolve, reject) => worker.once('exit', () => resolve()).once('error', reject));
}

/** See {@link OpenPlan}. */
export async function openLoop(plan: OpenPlan): Promise<ClientFigures> {
  const offset = monotonicMs() - performance.now();
  let [startedAt, tally] = [performance.now(), new Tally()];
  const underWay = new Set<Promise<void>>();
  const begin = async (due: number): Promise<void> => {
    const connection = handshake(plan, plan.port);
    const { at, error } = await connection.handshake;
    if (at === undefined) tally.fail(error);
    else tally.through(at + offset - due, at);
    await connection.closed;
  };
  await pace(plan, {
    // The thread that paces takes time to start, and to end.
    begun: (at) => {
      startedAt = at - offset;
      tally = new Tally(startedAt);
    },
    due: (at) => {
      if (underWay.size >= MAX_UNDER_WAY) {
        tally.dropped += 1;
        return;
      }
      const one: Promise<void> = begin(at).finally(() => underWay.delete(one));
      underWay.add(one);
    },
  });
  await Promise.all(underWay);
  return tally.figures(startedAt + plan.ms);
}

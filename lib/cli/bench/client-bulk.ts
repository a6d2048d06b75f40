/** One connection that receives bytes. */
import { dial } from './client-handshake.ts';
import type { BulkPlan, ClientFigures } from './client-plans.ts';
import { Tally } from './client-tally.ts';

/** See {@link BulkPlan}; `latencies` has the milliseconds of the whole transfer. */
export function bulk(plan: BulkPlan): Promise<ClientFigures> {
  const tally = new Tally();
  const socket = dial(plan, plan.port, String(plan.bytes));
  const startedAt = performance.now();
  let received = 0;
  let failure: Error | undefined;
  socket.on('data', (chunk: Buffer) => (received += chunk.length));
  socket.on('error', (error) => (failure = error));
  return new Promise((resolve) => {
    socket.on('close', () => {
      if (received === plan.bytes) tally.through(performance.now() - startedAt);
      else tally.fail(failure ?? new Error(`${received} of ${plan.bytes} bytes came.`));
      resolve(tally.figures());
    });
  });
}

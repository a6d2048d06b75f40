/** The clients of `keyless-tls bench`: a process of its own that does what it is told, one plan after the other. */
import { bulk } from './client-bulk.ts';
import { closedLoop } from './client-closed-loop.ts';
import { hello } from './client-hello.ts';
import { openLoop } from './client-open-loop.ts';
import type { ClientFigures, ClientPlan } from './client-plans.ts';

function carryOut(plan: ClientPlan): Promise<ClientFigures> {
  switch (plan.kind) {
    case 'closed':
      return closedLoop(plan);
    case 'open':
      return openLoop(plan);
    case 'bulk':
      return bulk(plan);
    case 'hello':
      return hello(plan);
  }
}

process.on('message', async (plan: ClientPlan) => {
  process.send?.(await carryOut(plan));
});
process.on('disconnect', () => process.exit());

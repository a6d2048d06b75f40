/** The clients of `keyless-tls bench`: a process of its own that does what it is told, one plan after the other. */
import { bulk } from './client-bulk.ts';
import { closedLoop } from './client-closed-loop.ts';
import { hello } from './client-hello.ts';
import { openLoop } from './client-open-loop.ts';
import type { ClientFigures, ClientPlan } from './client-plans.ts';
import { Tally } from './client-tally.ts';

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

/** A plan that cannot be carried out has a reason, and the next one may go well. */
function failed(error: Error): ClientFigures {
  const tally = new Tally();
  tally.fail(error);
  return tally.figures();
}

process.on('message', async (plan: ClientPlan) => {
  process.send?.(await carryOut(plan).catch(failed));
});
process.on('disconnect', () => process.exit());

/**
 * `npm run bench:gate`: fails when a remote handshake costs its edge more than its budget.
 *
 * A ratio of CPU times, each the lower quartile of rounds in turn, and the best of three tries: a busy machine makes both sides
 * slower, and not three times in a row one of them alone. `-- --canary` slows the remote side down by 30 % of itself, and succeeds
 * where the edge keeps its budget before and not then, in one of three attempts: a gate that cannot fail is none.
 */
import { parseArgs } from 'node:util';
import { nameOf, roundOf } from '../lib/cli/bench/comparison.ts';
import { interleave } from '../lib/cli/bench/rounds.ts';
import { CONCURRENT } from '../lib/cli/bench/scale.ts';
import { inWorkshop } from '../lib/cli/bench/session.ts';
import type { Workshop } from '../lib/cli/bench/workshop.ts';
import { BUDGETS, type Budget, SCALE, UNIT } from './budgets.ts';
import { keeps, type Measured, measuredIn, SLOWDOWN, type Subject, sings, TRIES } from './gate-check.ts';
import { script, usage } from './script.ts';

async function measure(workshop: Workshop, budget: Budget): Promise<Measured> {
  const { native, remote } = await interleave(
    {
      native: () => roundOf(workshop, 'native', UNIT, CONCURRENT),
      remote: () => roundOf(workshop, 'remote', budget, CONCURRENT),
    },
    workshop.scale.rounds,
  );
  const { nativeMs, remoteMs, cost } = measuredIn(native, remote);
  const figures = `remote ${remoteMs.toFixed(3)} ms, native with ${nameOf(UNIT)} ${nativeMs.toFixed(3)} ms`;
  console.log(`${nameOf(budget)}: ${figures}: ${cost.toFixed(2)}, at most ${budget.most}`);
  return { remoteMs, cost };
}

const subjectOf = (workshop: Workshop, budget: Budget): Subject => ({
  measure: () => measure(workshop, budget),
  waste: async (burnMs) => {
    if (burnMs > 0) console.log(`now with ${SLOWDOWN * 100} % more`);
    await (await workshop.edge('remote')).figures({ burnMs });
  },
});

async function gate(workshop: Workshop, budget: Budget): Promise<boolean> {
  if (await keeps(subjectOf(workshop, budget), budget)) return true;
  const limit = `more than ${budget.most} in ${TRIES} tries`;
  console.error(`${nameOf(budget)}: ${limit}. The budget (bench/budgets.ts): ${budget.because}.`);
  return false;
}

async function canary(workshop: Workshop, budget: Budget): Promise<boolean> {
  if (await sings(subjectOf(workshop, budget), budget)) return true;
  const what = `there was no attempt of ${TRIES} in which the edge kept its budget, and not when it was ${SLOWDOWN * 100} % slower`;
  console.error(`${nameOf(budget)}: ${what}.`);
  return false;
}

await script('npm run bench:gate -- --canary', async () => {
  const { values } = usage(() => parseArgs({ options: { canary: { type: 'boolean', default: false } } }));
  const check = values.canary ? canary : gate;
  await inWorkshop(SCALE, async (workshop) => {
    for (const budget of BUDGETS) if (!(await check(workshop, budget))) process.exitCode = 1;
  });
});

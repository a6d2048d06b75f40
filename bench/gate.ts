/**
 * `npm run bench:gate`: fails when a remote handshake costs its edge more than its budget.
 *
 * A ratio of CPU times, each the lower quartile of rounds in turn, and the best of three tries, each with processes of its own. A
 * busy machine makes one side dearer than the other, and three times in a row: a try in which others had the cores decides
 * nothing and is made again, and where that goes on "not decided" is said, which is no failure. `-- --canary` slows the remote
 * side down by 30 % of itself, and succeeds where the edge keeps its budget before and not then, in one of three attempts: a gate
 * that cannot fail is none.
 */
import { parseArgs } from 'node:util';
import { nameOf, roundOf } from '../lib/cli/bench/comparison.ts';
import { interleave } from '../lib/cli/bench/rounds.ts';
import { CONCURRENT } from '../lib/cli/bench/scale.ts';
import { inWorkshop } from '../lib/cli/bench/session.ts';
import type { Workshop } from '../lib/cli/bench/workshop.ts';
import { BUDGETS, type Budget, SCALE, UNIT } from './budgets.ts';
import {
  keeps,
  type Measured,
  measuredIn,
  SLOWDOWN,
  type Subject,
  sings,
  TRIES,
  Undecided,
} from './gate-check.ts';
import { script, usage } from './script.ts';

const SIDES = ['native', 'remote'] as const;

async function measure(workshop: Workshop, budget: Budget): Promise<Measured> {
  const { native, remote } = await interleave(
    {
      native: () => roundOf(workshop, 'native', UNIT, CONCURRENT),
      remote: () => roundOf(workshop, 'remote', budget, CONCURRENT),
    },
    workshop.scale.rounds,
  );
  const { nativeMs, ...measured } = measuredIn(native, remote);
  const { remoteMs, cost, disturbed } = measured;
  const figures = `remote ${remoteMs.toFixed(3)} ms, native with ${nameOf(UNIT)} ${nativeMs.toFixed(3)} ms`;
  const counts = disturbed.length === 0 ? '' : ' (disturbed: does not count)';
  console.log(`${nameOf(budget)}: ${figures}: ${cost.toFixed(2)}, at most ${budget.most}${counts}`);
  return measured;
}

const subjectOf = (workshop: Workshop, budget: Budget): Subject => ({
  measure: () => measure(workshop, budget),
  waste: async (burnMs) => {
    if (burnMs > 0) console.log(`now with ${SLOWDOWN * 100} % more`);
    await (await workshop.edge('remote')).figures({ burnMs });
  },
  renew: () => workshop.renew(SIDES),
});

interface Check {
  readonly holds: (subject: Subject, budget: Budget) => Promise<boolean>;
  /** Where it does not. */
  readonly words: (budget: Budget) => string;
}

const GATE: Check = {
  holds: keeps,
  words: ({ most, because }) =>
    `more than ${most} in ${TRIES} tries. The budget (bench/budgets.ts): ${because}.`,
};

const CANARY: Check = {
  holds: sings,
  words: ({ most }) =>
    `there was no attempt of ${TRIES} in which the edge kept its budget, and not when it was ${SLOWDOWN * 100} % slower. ` +
    `An edge below ${(most / (1 + SLOWDOWN)).toFixed(2)} needs a narrower budget (bench/budgets.ts), one above ${most} is too slow.`,
};

async function check(workshop: Workshop, budget: Budget, { holds, words }: Check): Promise<void> {
  try {
    if (await holds(subjectOf(workshop, budget), budget)) return;
    console.error(`${nameOf(budget)}: ${words(budget)}`);
    process.exitCode = 1;
  } catch (error) {
    if (!(error instanceof Undecided)) throw error;
    console.log(`${nameOf(budget)}: ${error.message}`);
  }
}

await script('npm run bench:gate -- --canary', async () => {
  const { values } = usage(() => parseArgs({ options: { canary: { type: 'boolean', default: false } } }));
  await inWorkshop(SCALE, async (workshop) => {
    for (const budget of BUDGETS) await check(workshop, budget, values.canary ? CANARY : GATE);
  });
});

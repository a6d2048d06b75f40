/**
 * `npm run bench:gate`: fails when a remote handshake costs its edge more than its budget.
 *
 * A ratio of CPU times, each a median, measured in one run, and the best of three tries: a busy machine makes both sides
 * slower, and not three times in a row one of them alone. `-- --canary` slows the remote side down by 30 % of itself and
 * succeeds where the gate then fails: a gate that cannot fail is none.
 */
import { parseArgs } from 'node:util';
import { compare, nameOf } from '../lib/cli/bench/comparison.ts';
import { medianOf, ratioOf } from '../lib/cli/bench/rounds.ts';
import { CONCURRENT, type Scale } from '../lib/cli/bench/scale.ts';
import { Workshop } from '../lib/cli/bench/workshop.ts';
import { BUDGETS, type Budget } from './budgets.ts';

const TRIES = 3;
const SLOWDOWN = 0.3;
const SCALE: Scale = { quick: true, rounds: 5, roundMs: 300, warmUpMs: 6000 };
const SIDES = ['native', 'remote'] as const;

/** @returns edge CPU of a remote handshake in milliseconds, and its ratio to native */
async function measure(workshop: Workshop, budget: Budget): Promise<{ remoteMs: number; ratio: number }> {
  const { native, remote } = await compare(workshop, SIDES, budget, CONCURRENT);
  if (remote.some(({ operations }) => operations !== 1)) {
    throw new Error('A remote handshake had not one operation: nothing was measured.');
  }
  const [remoteMs, ratio] = [medianOf(remote, 'edgeCpuMs'), ratioOf(remote, native)];
  console.log(
    `${nameOf(budget)}: ${remoteMs.toFixed(3)} ms, ${ratio.toFixed(2)} x native, at most ${budget.most}`,
  );
  return { remoteMs, ratio };
}

/** @returns whether one of the tries is within the budget */
async function keeps(workshop: Workshop, budget: Budget): Promise<boolean> {
  for (let tries = 0; tries < TRIES; tries += 1) {
    if ((await measure(workshop, budget)).ratio <= budget.most) return true;
  }
  return false;
}

async function gate(workshop: Workshop): Promise<boolean> {
  let kept = true;
  for (const budget of BUDGETS) {
    if (await keeps(workshop, budget)) continue;
    kept = false;
    const limit = `more than ${budget.most} x native in ${TRIES} tries`;
    console.error(`${nameOf(budget)}: ${limit}. The budget (bench/budgets.ts): ${budget.because}.`);
  }
  return kept;
}

async function canary(workshop: Workshop): Promise<boolean> {
  const remote = await workshop.edge('remote');
  let seen = true;
  for (const budget of BUDGETS) {
    await remote.figures({ burnMs: 0 });
    const { remoteMs } = await measure(workshop, budget);
    await remote.figures({ burnMs: SLOWDOWN * remoteMs });
    console.log(`now with ${SLOWDOWN * 100} % more`);
    if (!(await keeps(workshop, budget))) continue;
    console.error(`${nameOf(budget)}: ${SLOWDOWN * 100} % slower, and the gate does not see it.`);
    seen = false;
  }
  return seen;
}

const { values } = parseArgs({ options: { canary: { type: 'boolean', default: false } } });
const workshop = await Workshop.open(SCALE);
try {
  process.exitCode = (await (values.canary ? canary(workshop) : gate(workshop))) ? 0 : 1;
} finally {
  await workshop.close();
}

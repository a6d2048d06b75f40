/**
 * `npm run bench:gate`: fails when a remote handshake costs its edge more than its budget.
 *
 * A ratio of CPU times, each a median, measured in one run, and the best of three tries: a busy machine makes both sides
 * slower, and not three times in a row one of them alone. `-- --canary` slows the remote side down by 30 % of itself and
 * succeeds where the gate then fails: a gate that cannot fail is none.
 */
import { rmSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { measureHandshakes, type Result, type Settings } from '../lib/cli/bench-handshakes.ts';
import { median, OTHER_CORE, pin } from '../lib/cli/bench-method.ts';
import {
  type Files,
  type KeyServerProcess,
  makeFiles,
  startKeyServer,
} from '../lib/cli/key-server-process.ts';
import { BUDGETS, type Budget } from './budgets.ts';

const TRIES = 3;
const SLOWDOWN = 0.3;
const SETTINGS: Settings = { rounds: 5, count: 300, warmUpMs: 3000, concurrent: 16 };

interface Bench {
  readonly files: Files;
  readonly keyServer: KeyServerProcess;
}

async function measure({ files, keyServer }: Bench, budget: Budget, burnMs: number): Promise<Result> {
  const result = await measureHandshakes(files, keyServer, budget, SETTINGS, burnMs);
  if (result.operationsPerHandshake !== 1) throw new Error('A handshake was resumed: nothing was measured.');
  const said = burnMs > 0 ? `, slowed down by ${burnMs.toFixed(3)} ms` : '';
  console.log(`${budget.key}: ${result.ratio.toFixed(2)} x native, at most ${budget.most}${said}`);
  return result;
}

/** @returns whether one of the tries is within the budget */
async function keeps(bench: Bench, budget: Budget, burnMs: number): Promise<boolean> {
  for (let tries = 0; tries < TRIES; tries += 1) {
    if ((await measure(bench, budget, burnMs)).ratio <= budget.most) return true;
  }
  return false;
}

async function gate(bench: Bench): Promise<boolean> {
  const broken: Budget[] = [];
  for (const budget of BUDGETS) if (!(await keeps(bench, budget, 0))) broken.push(budget);
  for (const { key, most, because } of broken) {
    console.error(
      `${key}: more than ${most} x native in ${TRIES} tries. The budget (bench/budgets.ts): ${because}.`,
    );
  }
  return broken.length === 0;
}

async function canary(bench: Bench): Promise<boolean> {
  let seen = true;
  for (const budget of BUDGETS) {
    const { remote } = await measure(bench, budget, 0);
    if (!(await keeps(bench, budget, SLOWDOWN * median(remote.edgeCpuMs)))) continue;
    console.error(`${budget.key}: ${SLOWDOWN * 100} % slower, and the gate does not see it.`);
    seen = false;
  }
  return seen;
}

const { values } = parseArgs({ options: { canary: { type: 'boolean', default: false } } });
const files = makeFiles();
const keyServer = await startKeyServer(files);
pin(keyServer.child.pid, OTHER_CORE);
try {
  const bench = { files, keyServer };
  process.exitCode = (await (values.canary ? canary(bench) : gate(bench))) ? 0 : 1;
} finally {
  keyServer.child.kill();
  await keyServer.ended;
  rmSync(files.folder, { recursive: true, force: true });
}

/**
 * What does a full handshake cost the edge, with its key on a key server? CPU of the server for each handshake (TLS 1.3),
 * native and remote in turn in one run, medians: `npm run bench:handshake`, or `-- 15` for so many rounds of either.
 */
import { type Case, compareWithSignature, nameOf } from '../lib/cli/bench/comparison.ts';
import { spread, times } from '../lib/cli/bench/figures-in-words.ts';
import { figuresIn, medianOf, ratioOf } from '../lib/cli/bench/rounds.ts';
import { CONCURRENT, FULL } from '../lib/cli/bench/scale.ts';
import { inWorkshop } from '../lib/cli/bench/session.ts';
import { signatureMs } from '../lib/cli/bench/signature.ts';
import { TARGETS } from '../lib/cli/bench/targets.ts';
import type { Workshop } from '../lib/cli/bench/workshop.ts';
import { tellDisturbance } from './alone.ts';
import { script, wholeNumber, wordsOf } from './script.ts';

interface Goal extends Case {
  /** Remote over native. */
  readonly most: number;
}

const GOALS: readonly Goal[] = [
  { site: 'RSA-2048', version: 'TLSv1.3', most: TARGETS.rsaCost.most },
  { site: 'P-256', version: 'TLSv1.3', most: TARGETS.ecCost.most },
];
/** V8 is still compiling before; the remote side has more to compile. */
const WARM_UP_MS = 12_000;
const SIDES = ['native', 'remote'] as const;

async function measure(workshop: Workshop, goal: Goal): Promise<void> {
  const { edges, signature } = await compareWithSignature(workshop, SIDES, goal, CONCURRENT);
  const { native, remote } = edges;
  const ratio = ratioOf(remote, native);
  const floor = 1 - signatureMs(signature) / medianOf(native, 'edgeCpuMs');
  console.log(
    `${nameOf(goal)}: native ${spread(figuresIn(native, 'edgeCpuMs'))} ms, remote ${spread(figuresIn(remote, 'edgeCpuMs'))} ms, ` +
      `${ratio.toFixed(3)} ×, goal ${goal.most}; ${times(floor)} if asking cost nothing; ` +
      `key server ${spread(figuresIn(remote, 'keyServerCpuMs'))} ms`,
  );
  tellDisturbance({ native, remote, signature });
  if (remote.some(({ operations }) => operations !== 1)) throw new Error('Not all were full handshakes.');
}

await script('npm run bench:handshake -- 15', async () => {
  const [rounds = FULL.rounds] = wordsOf(wholeNumber('Rounds'));
  await inWorkshop({ ...FULL, rounds, warmUpMs: WARM_UP_MS }, async (workshop) => {
    for (const goal of GOALS) await measure(workshop, goal);
  });
});

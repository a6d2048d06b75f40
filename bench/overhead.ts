/**
 * What does the shim itself cost? The question `shim` of `keyless-tls bench`, with more and longer rounds after a longer
 * warm-up: `node dist/bench/overhead.js [rounds] [milliseconds a round]`; five generations of edges make at least so many rounds, two fifths of them each.
 *
 * Server CPU for each full handshake (TLS 1.3), native against keyless with a key in the same process that answers
 * synchronously, in turn in one run.
 */
import { shim } from '../lib/cli/bench/questions/shim.ts';
import { textReport } from '../lib/cli/bench/report.ts';
import { askAll } from '../lib/cli/bench/run.ts';
import { FULL } from '../lib/cli/bench/scale.ts';
import { print, unlessLost } from '../lib/cli/standard-output.ts';
import { script, wholeNumber, wordsOf } from './script.ts';

/** V8 is still compiling before, and a keyless handshake has more to compile. */
const WARM_UP_MS = 12_000;

await script('npm run bench:overhead -- 9 1000', async () => {
  const [rounds = 9, roundMs = 1000] = wordsOf(wholeNumber('Rounds'), wholeNumber('Milliseconds of a round'));
  const scale = { ...FULL, rounds, roundMs, warmUpMs: WARM_UP_MS };
  const report = await askAll([shim], scale, unlessLost(process.stderr));
  await print(textReport(report));
  if (report.answers.some(({ failed }) => failed)) process.exitCode = 1;
});

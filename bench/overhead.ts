/**
 * What does the shim itself cost? The question `shim` of `keyless-tls bench`, with more and longer rounds after a longer
 * warm-up: `node dist/bench/overhead.js [rounds] [milliseconds a round]`.
 *
 * Server CPU for each full handshake (TLS 1.3), native against keyless with a key in the same process that answers
 * synchronously, in turn in one run.
 */
import { shim } from '../lib/cli/bench/questions/shim.ts';
import { textReport, thisMachine } from '../lib/cli/bench/report.ts';
import { FULL } from '../lib/cli/bench/scale.ts';
import { Workshop } from '../lib/cli/bench/workshop.ts';

/** V8 is still compiling before, and a keyless handshake has more to compile. */
const WARM_UP_MS = 12_000;

const [rounds = 9, roundMs = 1000] = process.argv.slice(2).map(Number);
const scale = { ...FULL, rounds, roundMs, warmUpMs: WARM_UP_MS };
const [time, startedAt] = [new Date().toISOString(), performance.now()];
const workshop = await Workshop.open(scale);
try {
  const { name, title } = shim;
  const answer = { name, title, failed: false, ...(await shim.answer(workshop)) };
  const seconds = (performance.now() - startedAt) / 1000;
  process.stdout.write(textReport({ time, seconds, machine: thisMachine(), scale, answers: [answer] }));
} finally {
  await workshop.close();
}

/**
 * Where does each microsecond of a remote handshake go, and how far is it from what nobody could save? CPU of edges that do one
 * thing more than another, in turn in one run, medians: `npm run bench:parts`, or `-- RSA-2048 15` for another key and so many
 * rounds of each.
 */
import { type Case, compareWithSignature, nameOf } from '../lib/cli/bench/comparison.ts';
import { times } from '../lib/cli/bench/figures-in-words.ts';
import { medianOf } from '../lib/cli/bench/rounds.ts';
import { type Sample, takeSample } from '../lib/cli/bench/sample.ts';
import { CONCURRENT, FULL } from '../lib/cli/bench/scale.ts';
import { inWorkshop } from '../lib/cli/bench/session.ts';
import { signatureMs } from '../lib/cli/bench/signature.ts';
import type { Site } from '../lib/cli/bench/sites.ts';
import type { Workshop } from '../lib/cli/bench/workshop.ts';
import { tellDisturbance } from './alone.ts';
import { script, site as siteWord, wholeNumber, wordsOf } from './script.ts';

const SIDES = ['native', 'pinging', 'unverified', 'local', 'remote'] as const;
/** Of each edge: V8 is still compiling before, however long that takes; the more of ours there is, the longer. */
const WARM_UP_HANDSHAKES = 6000;
const WARM_UP_MS = 1000;
const ROUND_MS = 400;

/** Whether each handshake asked once; some answers come when a round is over. */
function areFull(samples: readonly Sample[]): boolean {
  const sum = (each: (sample: Sample) => number) => samples.reduce((total, one) => total + each(one), 0);
  const asked = sum(({ operations, handshakes }) => operations * handshakes);
  return Math.abs(asked / sum(({ handshakes }) => handshakes) - 1) < 0.05;
}

async function warmUp(
  workshop: Workshop,
  name: (typeof SIDES)[number],
  { site, version }: Case,
): Promise<void> {
  const edge = await workshop.edge(name);
  const plan = { version, ports: [edge.ports[site]!], concurrent: CONCURRENT, ms: WARM_UP_MS };
  let handshakes = 0;
  while (handshakes < WARM_UP_HANDSHAKES) {
    await takeSample(workshop, [edge], plan);
    handshakes = (await edge.figures()).handshakes;
  }
}

async function measure(workshop: Workshop, site: Site): Promise<void> {
  const which = { site, version: 'TLSv1.3' } as const;
  for (const name of SIDES) await warmUp(workshop, name, which);
  const { edges: samples, signature } = await compareWithSignature(workshop, SIDES, which, CONCURRENT);
  for (const name of SIDES.slice(1))
    if (!areFull(samples[name])) throw new Error(`Of the edge "${name}" not each handshake asked once.`);
  const cpu = (name: (typeof SIDES)[number]) => medianOf(samples[name], 'edgeCpuMs');
  const [native, remote] = [cpu('native'), cpu('remote')];
  const shim = cpu('unverified') - native;
  const check = site.startsWith('RSA') ? cpu('local') - cpu('unverified') : 0;
  const asking = cpu('pinging') - native;
  const signed = signatureMs(signature);
  const floor = native - signed;
  const rows: readonly (readonly [what: string, ms: number])[] = [
    ['native handshake', native],
    ['its signature, which is made elsewhere', -signed],
    ['**the floor, if asking cost nothing**', floor],
    ["a request written and an answer read, by Node.js's TLS alone", asking],
    ['**the floor of asking with Node.js**', floor + asking],
    ['the shim: the handshake stops and goes on', shim],
    ['the check of the signature', check],
    ['choice, deadlines, encoding and all else of the client', remote - floor - asking - shim - check],
    ['**remote handshake**', remote],
  ];
  console.log(`| ${nameOf(which)} | µs | of native |\n| --- | --- | --- |`);
  const micro = (ms: number) => (Number.isFinite(ms) ? (ms * 1000).toFixed(0) : '–');
  for (const [what, ms] of rows) console.log(`| ${what} | ${micro(ms)} | ${times(ms / native)} |`);
  tellDisturbance({ ...samples, signature });
}

await script('npm run bench:parts -- RSA-2048 15', async () => {
  const [site = 'P-256', rounds = 15] = wordsOf(siteWord, wholeNumber('Rounds'));
  const scale = { ...FULL, rounds, roundMs: ROUND_MS, warmUpMs: WARM_UP_MS };
  await inWorkshop(scale, (workshop) => measure(workshop, site));
});

/**
 * Where does the time of a handshake go? `npm run bench:profile [-- RSA-2048]`: samples of a native and of a remote edge by Linux's `perf`,
 * sorted by whose code was running, microseconds for each handshake. Profiled edges write down what they compile, and
 * are a little slower than others.
 */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { type Edge, WITH_MAP } from '../lib/cli/bench/edge.ts';
import { type Sample, takeSample } from '../lib/cli/bench/sample.ts';
import { CONCURRENT, FULL } from '../lib/cli/bench/scale.ts';
import { inWorkshop } from '../lib/cli/bench/session.ts';
import type { Site } from '../lib/cli/bench/sites.ts';
import type { Workshop } from '../lib/cli/bench/workshop.ts';
import { tellDisturbance } from './alone.ts';
import { OWNERS, ownerOf } from './profile-owners.ts';
import { script, site as siteWord, wordsOf } from './script.ts';

const SIDES = ['native', 'remote'] as const;
const SAMPLES_PER_SECOND = 1999;
const SECONDS = 12;

type Profile = ReadonlyMap<string, number>;

interface Profiled {
  readonly sample: Sample;
  /** Microseconds for one handshake, by owner. */
  readonly parts: Profile;
}

/** @returns samples by owner */
function read(file: string): Profile {
  const args = ['script', '-i', file, '-F', 'ip,sym,dso'];
  const text = execFileSync('perf', args, {
    encoding: 'utf8',
    maxBuffer: 2 ** 30,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const counts = new Map<string, number>();
  for (const line of text.split('\n').filter((each) => each.trim() !== '')) {
    const owner = ownerOf(line);
    counts.set(owner, (counts.get(owner) ?? 0) + 1);
  }
  return counts;
}

/** @throws (rejects) Error: `perf` did not */
async function perf(workshop: Workshop, args: readonly string[]): Promise<void> {
  if ((await workshop.run('clients', 'perf', args, SECONDS * 1000)) !== undefined) return;
  throw new Error(
    `\`perf ${args[0]}\` failed: is it installed, and may this user do that (kernel.perf_event_paranoid)?`,
  );
}

function record(workshop: Workshop, { pid }: Edge, file: string): Promise<void> {
  const what = ['-e', 'cpu-clock', '-F', String(SAMPLES_PER_SECOND), '-o', file, '-p', String(pid)];
  return perf(workshop, ['record', ...what, '--', 'sleep', String(SECONDS)]);
}

async function profile(workshop: Workshop, side: (typeof SIDES)[number], site: Site): Promise<Profiled> {
  const edge = await workshop.startEdge(workshop.planOf(side), WITH_MAP);
  const file = join(workshop.files.folder, `${side}.data`);
  await workshop.warmUp(edge);
  const plan = {
    version: 'TLSv1.3',
    ports: [edge.ports[site]!],
    concurrent: CONCURRENT,
    ms: SECONDS * 1000,
  } as const;
  const [sample] = await Promise.all([takeSample(workshop, [edge], plan), record(workshop, edge, file)]);
  const counts = read(file);
  edge.end();
  const all = [...counts.values()].reduce((sum, count) => sum + count, 0);
  const each = (count: number) => (count / all) * sample.edgeCpuMs * 1000;
  return { sample, parts: new Map([...counts].map(([owner, count]) => [owner, each(count)])) };
}

async function measure(workshop: Workshop, site: Site): Promise<void> {
  // Before it takes a minute.
  await perf(workshop, ['version']);
  const [native, remote] = [await profile(workshop, 'native', site), await profile(workshop, 'remote', site)];
  const profiles = [native.parts, remote.parts];
  const line = (name: string, values: readonly number[]) =>
    console.log(`| ${name} | ${values.map((value) => value.toFixed(0)).join(' | ')} |`);
  console.log(`| ${site}, TLS 1.3, µs for a handshake | native | remote |\n| --- | --- | --- |`);
  for (const owner of OWNERS)
    line(
      owner,
      profiles.map((each) => each.get(owner) ?? 0),
    );
  line(
    'sum',
    profiles.map((each) => [...each.values()].reduce((sum, value) => sum + value, 0)),
  );
  tellDisturbance({ native: [native.sample], remote: [remote.sample] });
}

await script('npm run bench:profile -- RSA-2048', async () => {
  const [site = 'P-256'] = wordsOf(siteWord);
  await inWorkshop(FULL, (workshop) => measure(workshop, site));
});

/** One kind of handshake, measured on several edges in turn. */
import type { SecureVersion } from 'node:tls';
import { eachGeneration, joined, roundsInEach } from './generations.ts';
import { interleave, medianOf } from './rounds.ts';
import { type Sample, takeSample } from './sample.ts';
import { CONCURRENT } from './scale.ts';
import { type SignatureSample, signatureRounds } from './signature.ts';
import type { Site } from './sites.ts';
import { type EdgeName, WARM_UP_SITES, WARM_UP_VERSION, type Workshop } from './workshop.ts';

export interface Case {
  readonly site: Site;
  readonly version: SecureVersion;
  /** Key exchange; default X25519. */
  readonly group?: string | undefined;
  /** Whether the clients resume a session; default false. */
  readonly resume?: boolean | undefined;
}

export function nameOf({ site, version, group }: Case): string {
  return `${site}, ${version.replace('TLSv', 'TLS ')}${group === undefined ? '' : `, ${group}`}`;
}

/** @param all native edges with {@link CONCURRENT} at once; @returns what an answer says of them */
export function nativelyIn(
  all: readonly (readonly [which: Case, native: readonly Sample[]])[],
): Readonly<Record<string, number>> {
  return Object.fromEntries(all.map(([which, native]) => [nameOf(which), medianOf(native, 'edgeCpuMs')]));
}

/** Whether edges have made thousands of these when they are given. */
const isWarm = ({ site, version, group, resume }: Case) =>
  WARM_UP_SITES.includes(site) && version === WARM_UP_VERSION && group === undefined && resume !== true;

/** One round of one edge; @param ms how long new handshakes begin */
export async function roundOf(
  workshop: Workshop,
  name: EdgeName,
  { site, ...dial }: Case,
  concurrent: number,
  ms = workshop.scale.roundMs,
): Promise<Sample> {
  const edge = await workshop.edge(name);
  return takeSample(workshop, [edge], { ...dial, ports: [edge.ports[site]!], concurrent, ms });
}

async function contestantsOf<Name extends EdgeName>(
  workshop: Workshop,
  sides: readonly Name[],
  which: Case,
  concurrent: number,
  ms: number,
): Promise<Record<Name, () => Promise<Sample>>> {
  const round = (name: Name) => roundOf(workshop, name, which, concurrent, ms);
  // The first handshakes of other cases are not counted: their code is new to V8.
  if (!isWarm(which)) for (const name of sides) await round(name);
  const contestants = Object.fromEntries(sides.map((name) => [name, () => round(name)]));
  return contestants as Record<Name, () => Promise<Sample>>;
}

/** @param sides edges to compare; both are measured in turn */
export async function compare<Name extends EdgeName>(
  workshop: Workshop,
  sides: readonly Name[],
  which: Case,
  concurrent: number,
  ms = workshop.scale.roundMs,
  rounds = workshop.scale.rounds,
): Promise<Record<Name, Sample[]>> {
  return interleave(await contestantsOf(workshop, sides, which, concurrent, ms), rounds);
}

/** The same, with rounds of the signature alone among those of the edges. */
export async function compareWithSignature<Name extends EdgeName>(
  workshop: Workshop,
  sides: readonly Name[],
  which: Case,
  concurrent: number,
  ms = workshop.scale.roundMs,
): Promise<{ readonly edges: Record<Name, Sample[]>; readonly signature: SignatureSample[] }> {
  const contestants = {
    ...(await contestantsOf(workshop, sides, which, concurrent, ms)),
    signature: signatureRounds(workshop, which.site),
  };
  const { signature, ...edges } = await interleave(contestants, workshop.scale.rounds);
  return { signature: signature as SignatureSample[], edges: edges as unknown as Record<Name, Sample[]> };
}

/**
 * Cases that are to be known to a few per cent, sixteen at once.
 *
 * @returns of each case its rounds, of all generations of these edges
 */
export async function compareEach<Name extends EdgeName>(
  workshop: Workshop,
  sides: readonly Name[],
  cases: readonly Case[],
): Promise<Record<Name, Sample[]>[]> {
  const { scale } = workshop;
  const ofOneGeneration = async () => {
    const all = [];
    for (const which of cases) {
      workshop.say(nameOf(which));
      all.push(await compare(workshop, sides, which, CONCURRENT, scale.roundMs, roundsInEach(scale)));
    }
    return all;
  };
  const generations = await eachGeneration(workshop, sides, ofOneGeneration);
  return cases.map((_, index) => joined(generations.map((each) => each[index]!)));
}

/** What is said of full handshakes: it follows from the figures, and what cannot be is no fact. */
import { nameOf } from '../comparison.ts';
import { type Doubts, doubtsOf, isDisturbed, withMore } from '../doubts.ts';
import { type Estimate, inverse, ratioEstimate, sideOf } from '../estimate.ts';
import { share, times } from '../figures-in-words.ts';
import type { Measured } from '../question.ts';
import { estimateOf, medianOf, ratioOf } from '../rounds.ts';
import type { Sample } from '../sample.ts';
import { signatureMs } from '../signature.ts';
import type { Site } from '../sites.ts';
import { type Result, sumOf } from './handshakes-result.ts';

/** Of a native handshake: so much more than its signature the edge may seem to save, as things are measured. */
const TOLERANCE = 0.05;

const gainOf = ({ batch }: Result) => ratioOf(batch.native, batch.remote);
const totalOf = ({ batch }: Result) => sumOf(batch.remote, false) / sumOf(batch.native, true);
/** NaN: something disturbed all rounds of the signature. */
const signatureShare = ({ batch, signature }: Result) =>
  signatureMs(signature) / medianOf(batch.native, 'edgeCpuMs');
const costEstimate = ({ batch, generations }: Result) => estimateOf(batch.remote, batch.native, generations);
const isPlain = ({ version, group }: Result) => version === 'TLSv1.3' && group === undefined;

/** Whether the edge seems to save more than the signature that it does not make, or all processes together less than nothing. */
export function isImpossible(result: Result): boolean {
  const saved = 1 - ratioOf(result.batch.remote, result.batch.native);
  return saved > signatureShare(result) + TOLERANCE || totalOf(result) < 1 - TOLERANCE;
}

function costOf(result: Result): string {
  const { native, remote } = result.batch;
  const [total, signature] = [totalOf(result), signatureShare(result)];
  return (
    `${nameOf(result)}: remote, the edge spends ${times(ratioOf(remote, native))} the CPU of native (one at a time ${times(ratioOf(result.alone.remote, result.alone.native))}), ` +
    `${times(gainOf(result))} the handshakes for each edge core${Number.isFinite(signature) ? `; of native, the signature is ${share(signature)}` : ''}.` +
    `${Number.isFinite(total) ? ` Edge, key server and clients together spend ${times(total)}.` : ''}`
  );
}

const list = (results: readonly Result[]) => results.map(nameOf).join('; ');

/** Who gains and who loses, of the results that can be, and of whom that is not known. */
function gainsOf(results: readonly Result[]): string[] {
  const on = (side: -1 | 0 | 1) => results.filter((each) => sideOf(costEstimate(each), 1) === side);
  const said = (which: readonly Result[], sentence: string) => (which.length === 0 ? [] : [sentence]);
  const [cheaper, dearer, unknown] = [on(-1), on(1), on(0)];
  return [
    ...said(cheaper, `An edge core does more handshakes than natively with ${list(cheaper)}.`),
    ...said(
      dearer,
      `An edge core does fewer handshakes with ${list(dearer)}: to ask costs it more than their signature.`,
    ),
    ...said(unknown, `Whether it does more or fewer, these rounds do not tell of ${list(unknown)}.`),
  ];
}

/** Of edge, key server and clients together. */
function totalEstimate({ batch, generations }: Result): Estimate {
  const sums = (samples: readonly Sample[], keyServer: boolean) =>
    samples.map(
      ({ edgeCpuMs, clientCpuMs, keyServerCpuMs = Number.NaN }) =>
        edgeCpuMs + clientCpuMs + (keyServer ? keyServerCpuMs : 0),
    );
  return ratioEstimate(sums(batch.remote, true), sums(batch.native, false), generations);
}

function totalsOf(results: readonly Result[]): string[] {
  const totals = results.map(totalOf).filter(Number.isFinite);
  if (totals.length === 0) return [];
  const [least, most] = [Math.min(...totals), Math.max(...totals)];
  const isMore = results.every((each) => sideOf(totalEstimate(each), 1) === 1);
  const why = isMore ? ': the signature is still made, elsewhere, and to ask for it costs' : '';
  return [`All processes together spend ${times(least)} to ${times(most)} the CPU of native${why}.`];
}

const possible = (results: readonly Result[]) => results.filter((each) => !isImpossible(each));

export function conclusionsOf(results: readonly Result[]): string[] {
  const costs = possible(results).filter(isPlain).map(costOf);
  return [...costs, ...gainsOf(possible(results)), ...totalsOf(possible(results))];
}

/** Others that disturb the rounds of another case say nothing of these. */
const heldTo = (result: Result) => ({
  doubtful: isImpossible(result),
  disturbed: isDisturbed(result.batch.native, result.batch.remote),
});

export function measuredOf(results: readonly Result[]): Measured[] {
  const of = (site: Site) => results.find((each) => each.site === site && isPlain(each));
  const [rsa, p256] = [of('RSA-2048'), of('P-256')];
  const measured: Measured[] = [];
  if (rsa !== undefined) {
    const cost = costEstimate(rsa);
    measured.push(
      { target: 'rsaCost', ...cost, ...heldTo(rsa) },
      { target: 'rsaGain', ...inverse(cost), ...heldTo(rsa) },
    );
  }
  if (p256 !== undefined) {
    measured.push({ target: 'ecCost', ...costEstimate(p256), ...heldTo(p256) });
  }
  return measured;
}

function groupsOf(results: readonly Result[]) {
  const groups = results.flatMap((result) => [
    [`${nameOf(result)}, native`, result.batch.native] as const,
    [`${nameOf(result)}, remote`, result.batch.remote] as const,
    [`${nameOf(result)}, native, one at a time`, result.alone.native] as const,
    [`${nameOf(result)}, remote, one at a time`, result.alone.remote] as const,
  ]);
  return Object.fromEntries(groups);
}

function unknownSignatures(results: readonly Result[]): string[] {
  const unknown = results.filter(({ signature }) => Number.isNaN(signatureMs(signature)));
  if (unknown.length === 0) return [];
  return [
    `What the signature alone takes is not known, and whether the edge saves more than that: something disturbed all its rounds (${list(unknown)}).`,
  ];
}

export function doubts(results: readonly Result[]): Doubts {
  const impossible = results
    .filter(isImpossible)
    .map(
      (each) =>
        `${nameOf(each)}: remote saves the edge ${share(1 - 1 / gainOf(each))} of native's CPU, where the signature is ${share(signatureShare(each))}, and all together spend ${times(totalOf(each))}. That cannot be: something disturbed it.`,
    );
  // Of what cannot be only that case is disowned.
  return withMore(doubtsOf(groupsOf(results)), ...impossible, ...unknownSignatures(results));
}

/**
 * What OpenSSL alone needs for one signature: what an edge saves that has it made elsewhere. It is called by the addon, on a context that
 * is made once; node:crypto makes one each time, and what that costs is no part of a handshake.
 */
import { createPrivateKey, randomBytes } from 'node:crypto';
import { digestSigner } from '../../engine/digest-signer.ts';
import { SIGNING_METHODS } from '../../protocol/schemes.ts';
import { signHere } from '../../signing/sign-message.ts';
import { isDisturbed } from './doubts.ts';
import { keyPemOf, SCHEMES, type Site, type SiteFiles } from './sites.ts';
import { percentile } from './statistics.ts';
import type { Waits } from './waits.ts';
import type { Workshop } from './workshop.ts';

/** One round. */
export interface SignatureSample {
  /** CPU milliseconds of one signature. */
  readonly cpuMs: number;
  /** What kept this process from running (`edge`), and the others. */
  readonly waits: Waits;
}

/** So much CPU is enough to count it, and little beside a round. */
const SAMPLE_MS = 20;
/** What a server signs in TLS 1.3 has 130 to 146 bytes (RFC 8446 §4.4.3). */
const MESSAGE = Buffer.alloc(130, 0x20);

function ownCpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/**
 * By CPU time and not by the clock: where others have the core, the clock would leave one signature or two.
 *
 * @param cpuMs clock of CPU time, milliseconds
 * @returns CPU milliseconds of one of so many that they take {@link SAMPLE_MS}
 */
export function cpuMsOfOne(sign: () => unknown, cpuMs = ownCpuMs): number {
  for (let count = 1; ; count *= 2) {
    const before = cpuMs();
    for (let index = 0; index < count; index += 1) sign();
    const spent = cpuMs() - before;
    if (spent >= SAMPLE_MS) return spent / count;
  }
}

/** Ed25519, which hashes the message itself, and where there is no addon: by node:crypto, whose call costs some 10 µs more. */
function signing(files: SiteFiles, site: Site): () => unknown {
  const key = createPrivateKey(keyPemOf(files, site));
  const method = SIGNING_METHODS[SCHEMES[site]];
  const { algorithm, hash } = method;
  const signer = hash && digestSigner(key, hash, algorithm === 'rsa-pss');
  if (!signer) return () => signHere(key, method, MESSAGE);
  const digest = randomBytes(hash === 'sha384' ? 48 : 32);
  return () => signer.sign(digest);
}

/** @returns a contestant: one round of it with each call; the first, in which V8 compiles, is made here and not counted */
export function signatureRounds(
  workshop: Pick<Workshop, 'files' | 'watched'>,
  site: Site,
): () => Promise<SignatureSample> {
  const sign = signing(workshop.files, site);
  cpuMsOfOne(sign);
  return async () => {
    const [cpuMs, waits] = await workshop.watched([process], async () => cpuMsOfOne(sign));
    // While it signs it does not look at the clock, and it has stood still for no CPU time.
    return { cpuMs, waits: { ...waits, standstill: undefined } };
  };
}

/**
 * What others do makes a signature dearer and never cheaper, and not all of it is seen as waiting (caches): the lower quartile, as there may
 * be two rounds left.
 *
 * @returns CPU milliseconds, of the rounds that nothing disturbed; NaN: there is none
 */
export function signatureMs(samples: readonly SignatureSample[]): number {
  const quiet = samples.filter((each) => !isDisturbed([each]));
  return percentile(
    quiet.map(({ cpuMs }) => cpuMs),
    0.25,
  );
}

/** The certificates of the benchmark: one for each kind of key. */
import { createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { SignatureScheme } from '../../keys/private-key.ts';
import { SIGNING_METHODS } from '../../protocol/schemes.ts';
import { signHere } from '../../signing/sign-message.ts';
import { type Files, keyFile, makeFiles } from '../key-server-process.ts';

export type Site = 'RSA-2048' | 'RSA-3072' | 'P-256' | 'P-384' | 'Ed25519';

const KEY_TYPES = {
  'RSA-2048': 'rsa',
  'RSA-3072': 'rsa-3072',
  'P-256': 'ec',
  'P-384': 'p-384',
  Ed25519: 'ed25519',
} as const;

/** What TLS 1.3 signs with, for each of them. */
export const SCHEMES: Readonly<Record<Site, SignatureScheme>> = {
  'RSA-2048': 'rsa_pss_rsae_sha256',
  'RSA-3072': 'rsa_pss_rsae_sha256',
  'P-256': 'ecdsa_secp256r1_sha256',
  'P-384': 'ecdsa_secp384r1_sha384',
  Ed25519: 'ed25519',
};

export type SiteFiles = Files<Site>;

export function makeSiteFiles(): SiteFiles {
  return makeFiles(KEY_TYPES);
}

/** @returns its private key, PEM */
export function keyPemOf(files: SiteFiles, site: Site): string {
  return readFileSync(keyFile(files, site), 'utf8');
}

const SAMPLE_MS = 150;
/** What a server signs in TLS 1.3 has 130 to 146 bytes (RFC 8446 §4.4.3). */
const MESSAGE = Buffer.alloc(130, 0x20);

/** CPU milliseconds of one signature of OpenSSL's, called from node:crypto in this process. */
export function signatureCpuMs(files: SiteFiles, site: Site): number {
  const key = createPrivateKey(keyPemOf(files, site));
  const method = SIGNING_METHODS[SCHEMES[site]];
  signHere(key, method, MESSAGE);
  const [before, until] = [process.cpuUsage(), performance.now() + SAMPLE_MS];
  let signatures = 0;
  for (; performance.now() < until; signatures += 1) signHere(key, method, MESSAGE);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000 / signatures;
}

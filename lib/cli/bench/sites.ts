/** The certificates of the benchmark: one for each kind of key. */
import { readFileSync } from 'node:fs';
import type { SignatureScheme } from '../../keys/private-key.ts';
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

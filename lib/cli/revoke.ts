/** `keyless-tls revoke`: turns a client away, within a second, by an edit of the policy file that the key server watches. */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { KeylessError } from '../errors.ts';
import { Clients } from '../server/clients.ts';
import { comparableIdentity, isIdentity } from '../server/identity-name.ts';
import { identityOf, type PeerIdentity } from '../server/peer-identity.ts';
import { type Command, parsePositionals, UsageError } from './command.ts';
import { editPolicy, type PolicyDraft } from './policy-edit.ts';
import { print } from './standard-output.ts';

const USAGE = `keyless-tls revoke: turns clients of a key server away

Usage: keyless-tls revoke --policy FILE IDENTITY|CERTIFICATE ...

  --policy FILE   the policy file of the key server ("keyless-tls serve --policy")

IDENTITY is a name or key as in the policy ("DNS:edge-1.internal", "sha256/…="); CERTIFICATE is a PEM file: its key is
revoked, and no other that its name has or gets. A key server that watches the file ends the client's connections within a second.

Exit code 1: no client of the policy has a name, key or certificate that was given. It is revoked all the same: where the policy
knows clients by their keys, a name may be in their certificates, and where it knows them by names, a key may be theirs (exit
code 0, and it is said). A certificate is nobody's where neither its key nor a name of it is a client's. Names are no patterns, and authorities are revoked by their own lists ("--crl"): exit code 2.

Examples:
  keyless-tls revoke --policy policy.json DNS:edge-1.internal
  keyless-tls revoke --policy policy.json edge-1.crt
`;

const OPTIONS = { policy: { type: 'string' } } as const;
const HINT = 'keyless-tls revoke --help';

/** What is revoked, and whose it is. */
interface Revocation {
  /** As it was given. */
  readonly given: string;
  readonly revoked: string;
  /** Of a certificate. */
  readonly whole: PeerIdentity | undefined;
  /** It is the certificate of an authority. */
  readonly isAuthority: boolean;
}

function revocationOf(given: string): Revocation {
  if (isIdentity(given)) return { given, revoked: given, whole: undefined, isAuthority: false };
  try {
    const certificate = new X509Certificate(readFileSync(given));
    const whole = identityOf(certificate);
    return { given, revoked: whole.pin, whole, isAuthority: certificate.ca };
  } catch (error) {
    throw new UsageError(
      `${JSON.stringify(given)} is neither an identity nor a certificate in PEM: ${(error as Error).message}`,
      HINT,
    );
  }
}

/** Each once, whatever its spelling. */
function together(revoked: readonly string[], more: readonly Revocation[]): string[] {
  const all = [...revoked, ...more.map((each) => each.revoked)];
  return [...new Map(all.map((each) => [comparableIdentity(each), each])).values()];
}

const isName = (revoked: string) => /^(DNS|URI|IP Address|email):/.test(revoked);
/** The fingerprint of a certificate: of those a policy does not say whose they are. */
const isFingerprint = (revoked: string) => !isName(revoked) && !revoked.startsWith('sha256/');

/**
 * Whom the policy knows by a key may have any name in its certificate, and whom it knows by a name any key. A certificate has both: if
 * neither is a client's, it is none's.
 */
function mayBeAnybodys({ clients }: PolicyDraft, { revoked, whole }: Revocation): boolean {
  if (whole !== undefined) return false;
  const isKey = !isName(revoked);
  return clients.some(({ identities }) => identities.some((each) => isName(each) === isKey));
}

/** @returns what is no client's of the policy. @throws UsageError if it cannot be anybody's */
function nobodys({ clients }: PolicyDraft, revocations: readonly Revocation[]): Revocation[] {
  const known = new Clients({ clients });
  const unknown = revocations.filter(({ revoked, whole }) => {
    if (whole !== undefined) return known.named([whole.pin, ...whole.names]) === undefined;
    return !isFingerprint(revoked) && known.named([revoked]) === undefined;
  });
  for (const { given, isAuthority } of unknown) {
    const named = JSON.stringify(given);
    if (isAuthority)
      throw new UsageError(`${named} is the certificate of an authority, and no client's.`, HINT);
    if (given.includes('*')) throw new UsageError(`${named} is no client's: names are no patterns.`, HINT);
  }
  return unknown;
}

/** A key was revoked; the client may have others, or get another one, under its name. */
function stillServed(policy: PolicyDraft, revocations: readonly Revocation[]): string[] {
  const clients = new Clients({ clients: policy.clients });
  const revoked = new Set(policy.revoked?.map(comparableIdentity));
  const concerned = new Set(revocations.flatMap(({ whole }) => (whole && clients.find(whole)) ?? []));
  return [...concerned].flatMap(({ name, identities }) => {
    const left = identities.filter((each) => !revoked.has(comparableIdentity(each)));
    if (left.length === 0) return [];
    return [
      `${name} is still served as ${left.join(', ')}, with another key: revoke that too if it must not be.`,
    ];
  });
}

async function run(args: readonly string[]): Promise<number> {
  const { values, positionals } = parsePositionals('revoke', args, OPTIONS);
  const { policy: path } = values;
  if (path === undefined || positionals.length === 0) {
    throw new UsageError('It needs --policy and at least one identity or certificate.', HINT);
  }
  const revocations = positionals.map(revocationOf);
  const { policy, unknown } = await editPolicy(path, (before, write) => {
    const unknown = nobodys(before, revocations);
    const policy = { ...before, revoked: together(before.revoked ?? [], revocations) };
    write(policy);
    return { policy, unknown };
  });
  const lines = [`${policy.revoked.length} revoked in ${path}.`, ...stillServed(policy, revocations)];
  await print(`${lines.join('\n')}\n`);
  if (unknown.length === 0) return 0;
  const given = unknown.map((each) => each.given).join(', ');
  const message = `No client of the policy is, or has, ${given}: is it spelt as in the policy? It is revoked all the same.`;
  if (!unknown.every((each) => mayBeAnybodys(policy, each)))
    throw new KeylessError('ERR_KEYLESS_INVALID_ARGUMENT', message);
  await print(`${message}\n`);
  return 0;
}

/** See {@link USAGE}. */
export const revoke: Command = { usage: USAGE, run };

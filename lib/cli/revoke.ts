/** `keyless-tls revoke`: turns a client away, within a second, by an edit of the policy file that the key server watches. */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Clients } from '../server/clients.ts';
import { comparableIdentity } from '../server/identity-name.ts';
import { identityOf, type PeerIdentity } from '../server/peer-identity.ts';
import { isIdentity } from '../server/policy-file.ts';
import { type Command, parsePositionals, UsageError } from './command.ts';
import { editPolicy, type PolicyDraft } from './policy-edit.ts';

const USAGE = `keyless-tls revoke: turns clients of a key server away

Usage: keyless-tls revoke --policy FILE IDENTITY|CERTIFICATE ...

  --policy FILE   the policy file of the key server ("keyless-tls serve --policy")

IDENTITY is a name or key as in the policy ("DNS:edge-1.internal", "sha256/…="); CERTIFICATE is a PEM file: its key is
revoked, and no other that its name has or gets. A key server that watches the file ends the client's connections within a second.

Examples:
  keyless-tls revoke --policy policy.json DNS:edge-1.internal
  keyless-tls revoke --policy policy.json edge-1.crt
`;

const OPTIONS = { policy: { type: 'string' } } as const;
const HINT = 'keyless-tls revoke --help';

/** What is revoked, and whose it is. */
interface Revocation {
  readonly revoked: string;
  readonly whole: PeerIdentity | undefined;
}

function revocationOf(text: string): Revocation {
  if (isIdentity(text)) return { revoked: text, whole: undefined };
  try {
    const whole = identityOf(new X509Certificate(readFileSync(text)));
    return { revoked: whole.pin, whole };
  } catch (error) {
    throw new UsageError(
      `${JSON.stringify(text)} is neither an identity nor a certificate in PEM: ${(error as Error).message}`,
      HINT,
    );
  }
}

/** Each once, whatever its spelling. */
function together(revoked: readonly string[], more: readonly Revocation[]): string[] {
  const all = [...revoked, ...more.map((each) => each.revoked)];
  return [...new Map(all.map((each) => [comparableIdentity(each), each])).values()];
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
  const policy = await editPolicy(path, (before, write) => {
    const after = { ...before, revoked: together(before.revoked ?? [], revocations) };
    write(after);
    return after;
  });
  const lines = [`${policy.revoked.length} revoked in ${path}.`, ...stillServed(policy, revocations)];
  process.stdout.write(`${lines.join('\n')}\n`);
  return 0;
}

/** See {@link USAGE}. */
export const revoke: Command = { usage: USAGE, run };

/** `keyless-tls revoke`: turns a client away, within a second, by an edit of the policy file that the key server watches. */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { comparableIdentity } from '../server/identity-name.ts';
import { identityOf } from '../server/peer-identity.ts';
import { isIdentity } from '../server/policy-file.ts';
import { type Command, parsePositionals, UsageError } from './command.ts';
import { editPolicy } from './policy-edit.ts';

const USAGE = `keyless-tls revoke: turns clients of a key server away

Usage: keyless-tls revoke --policy FILE IDENTITY|CERTIFICATE ...

  --policy FILE   the policy file of the key server ("keyless-tls serve --policy")

IDENTITY is a name or key as in the policy ("DNS:edge-1.internal", "sha256/…="); CERTIFICATE is a PEM file: its key is
revoked. A key server that watches the file ends the client's connections within a second.

Example:
  keyless-tls revoke --policy policy.json edge-1.crt
`;

const OPTIONS = { policy: { type: 'string' } } as const;
const HINT = 'keyless-tls revoke --help';

function identityArgument(text: string): string {
  if (isIdentity(text)) return text;
  try {
    return identityOf(new X509Certificate(readFileSync(text))).pin;
  } catch (error) {
    throw new UsageError(
      `${JSON.stringify(text)} is neither an identity nor a certificate in PEM: ${(error as Error).message}`,
      HINT,
    );
  }
}

/** Each once, whatever its spelling. */
function together(revoked: readonly string[], identities: readonly string[]): string[] {
  return [...new Map([...revoked, ...identities].map((each) => [comparableIdentity(each), each])).values()];
}

async function run(args: readonly string[]): Promise<number> {
  const { values, positionals } = parsePositionals('revoke', args, OPTIONS);
  const { policy: path } = values;
  if (path === undefined || positionals.length === 0) {
    throw new UsageError('It needs --policy and at least one identity or certificate.', HINT);
  }
  const identities = positionals.map(identityArgument);
  const { revoked = [] } = await editPolicy(path, (policy) => ({
    ...policy,
    revoked: together(policy.revoked ?? [], identities),
  }));
  process.stdout.write(`${revoked.length} revoked in ${path}.\n`);
  return 0;
}

/** See {@link USAGE}. */
export const revoke: Command = { usage: USAGE, run };

/**
 * The policy file: JSON, version 1, the options of {@link Grants}. It is read whole or not at all: an error names the
 * place, and whoever reads it keeps the policy there was.
 */
import { z } from 'zod';
import { KeylessError } from '../errors.ts';
import type { GrantsOptions } from './grants.ts';
import { comparableIdentity, FINGERPRINT, NAME, PIN } from './identity-name.ts';
import { KEY_USES } from './key-rules.ts';
import { repeatedMember } from './repeated-member.ts';

const name = z.string().regex(NAME);
const pin = z.string().regex(PIN);
const fingerprint = z.string().regex(FINGERPRINT);
const NAME_OR_KEY =
  'must be a name such as "DNS:edge-1.internal" or "URI:spiffe://…", in ASCII, or a key such as "sha256/…="';
const identity = z.union([name, pin], { error: NAME_OR_KEY });
const revoked = z.union([name, pin, fingerprint], {
  error: `${NAME_OR_KEY}, or the SHA-256 fingerprint of a certificate, in upper case with colons`,
});

const rate = z.strictObject({
  perSecond: z.number().positive().max(1e9),
  burst: z.number().min(1).max(1e9).optional(),
});

const label = z
  .string()
  .regex(/^[\w.:@-]{1,64}$/, { error: 'must be 1 to 64 letters, digits and . : @ - _' });

const keyId = z.string().regex(/^[0-9a-fA-F]{40}$/, { error: 'must be a key id: 40 hexadecimal digits' });

/** `tls12-client` is none of them: it cannot be recognised. */
const contexts = z.array(z.enum(['tls13-server', 'tls12-server', 'tls13-client', 'digest']));

const key = z.strictObject({
  contexts: contexts.optional(),
  uses: z.array(z.enum(KEY_USES)).min(1).optional(),
});

/** It would be chance whom metrics mean: they call the clients beyond 500 so. */
const clientName = label.refine((name) => name !== 'other', {
  error: 'must not be "other", which metrics call all clients beyond 500',
});

const client = z.strictObject({
  name: clientName,
  identities: z.array(identity).min(1),
  keys: z.array(keyId).optional(),
  servernames: z
    .array(
      z.string().regex(/^(\*\.)?[\w-]+(\.[\w-]+)*$/, { error: 'must be a host name, or "*." and a domain' }),
    )
    .optional(),
  contexts: contexts.optional(),
  decrypt: z.boolean().optional(),
  tickets: z.strictObject({ group: label }).optional(),
  rate: rate.optional(),
  ratePerKey: rate.optional(),
});

const policy = z.strictObject({
  version: z.literal(1),
  clients: z.array(client),
  keys: z.record(keyId, key).optional(),
  revoked: z.array(revoked).optional(),
  ticketGeneration: z.int().min(0).max(0xffff_ffff).optional(),
});

/** Two clients of one identity: it would be chance which of them counts. One client that has it twice was meant to have another. */
function repeatedIdentity({ clients }: z.infer<typeof policy>): string | undefined {
  const owners = new Map<string, string>();
  for (const { name, identities } of clients) {
    for (const identity of identities) {
      const owner = owners.get(comparableIdentity(identity));
      const quoted = JSON.stringify(identity);
      if (owner === name) return `the client ${JSON.stringify(name)} has the identity ${quoted} twice.`;
      if (owner !== undefined) return `two clients have the identity ${quoted}.`;
      owners.set(comparableIdentity(identity), name);
    }
  }
  return undefined;
}

/** As above: it would be chance whom logs and metrics mean. */
function repeatedName({ clients }: z.infer<typeof policy>): string | undefined {
  const names = clients.map(({ name }) => name);
  return names.length === new Set(names).size
    ? undefined
    : names.find((each, at) => names.indexOf(each) !== at);
}

/** As above, of one key. */
function repeatedKey({ keys = {} }: z.infer<typeof policy>): string | undefined {
  const ids = Object.keys(keys).map((id) => id.toLowerCase());
  return ids.find((id, at) => ids.indexOf(id) !== at);
}

/** Zod leaves this member of a record out, and says nothing. */
function hasPrototypeKey(json: unknown): boolean {
  const { keys } = Object(json) as { readonly keys?: unknown };
  return Object.hasOwn(Object(keys), '__proto__');
}

function invalid(message: string, cause?: unknown): KeylessError {
  return new KeylessError('ERR_KEYLESS_INVALID_ARGUMENT', `The policy cannot be used: ${message}`, { cause });
}

/** @throws ERR_KEYLESS_INVALID_ARGUMENT that says which part is wrong */
export function parsePolicy(text: string): GrantsOptions {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw invalid(`it is not JSON (${(cause as Error).message}).`, cause);
  }
  const member = repeatedMember(text);
  if (member !== undefined) throw invalid(`${JSON.stringify(member)} is there twice in one place.`);
  if (hasPrototypeKey(json)) throw invalid('keys.__proto__: must be a key id: 40 hexadecimal digits.');
  const { success, data, error } = policy.safeParse(json);
  if (!success) {
    const [issue] = error.issues;
    throw invalid(`${issue?.path.join('.') || 'the file'}: ${issue?.message}.`, error);
  }
  const client = repeatedName(data);
  if (client !== undefined) throw invalid(`two clients have the name ${JSON.stringify(client)}.`);
  const repeated = repeatedIdentity(data);
  if (repeated !== undefined) throw invalid(repeated);
  const key = repeatedKey(data);
  if (key !== undefined) throw invalid(`the key ${JSON.stringify(key)} is there twice.`);
  return data;
}

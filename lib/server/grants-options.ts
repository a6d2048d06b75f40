/**
 * The grants that an embedder gives, looked at before they count: a limit that is misspelt, or has another form, would limit
 * nobody, and nobody would know. A policy file is looked at by its own schema, which says more.
 */
import { KeylessError } from '../errors.ts';
import type { ClientOptions, GrantsOptions } from './grants.ts';
import { isIdentity } from './identity-name.ts';
import { asKeyId } from './key-names.ts';
import type { KeyOptions } from './key-rules.ts';
import type { Rate } from './token-bucket.ts';

/** What is wrong with a value, after its path; `undefined`: nothing. */
type Form = (value: unknown) => string | undefined;
type Forms<T> = Readonly<Record<keyof Required<T>, Form>>;

const REVOKED =
  'must list names such as "DNS:edge-1.internal", keys ("sha256/…=") and fingerprints (SHA-256, in upper case with colons)';

function needs(words: string, isRight: (value: unknown) => boolean): Form {
  return (value) => (isRight(value) ? undefined : ` ${words}`);
}

const isText = (value: unknown): value is string => typeof value === 'string';
const text = needs('must be a string', isText);
const texts = needs('must be an array of strings', (value) => Array.isArray(value) && value.every(isText));
const flag = needs('must be a boolean', (value) => typeof value === 'boolean');
const above0 = needs('must be a number above 0', (value) => typeof value === 'number' && value > 0);
const revoked = needs(
  REVOKED,
  (value) => Array.isArray(value) && value.every((each) => isText(each) && isIdentity(each)),
);
const generation = needs(
  'must be a whole number from 0 to 4,294,967,295',
  (value) => Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 0xffff_ffff,
);

/** Of members that may be `undefined`, but for those that are needed. */
function object<T>(forms: Forms<T>, needed: readonly (keyof T & string)[] = []): Form {
  return (value) => {
    if (typeof value !== 'object' || value === null) return ' must be an object';
    const members = value as Readonly<Record<string, unknown>>;
    for (const name of [...Object.keys(members), ...needed]) {
      if (!Object.hasOwn(forms, name)) return `.${name} is no member that is known`;
      if (members[name] === undefined && !needed.includes(name as never)) continue;
      const wrong = forms[name as keyof T](members[name]);
      if (wrong !== undefined) return `.${name}${wrong}`;
    }
    return undefined;
  };
}

/** Of an array, or of a record. */
function each(form: Form, isWhole: (value: unknown) => boolean, words: string): Form {
  return (value) => {
    if (!isWhole(value)) return ` ${words}`;
    for (const [name, part] of Object.entries(value as object)) {
      const wrong = form(part);
      if (wrong !== undefined) return `.${name}${wrong}`;
    }
    return undefined;
  };
}

const rate = object<Rate>({ perSecond: above0, burst: above0 }, ['perSecond']);
const client = object<ClientOptions>(
  {
    ...{ name: text, identities: texts, keys: texts, servernames: texts, contexts: texts, decrypt: flag },
    ...{ tickets: object<{ readonly group: string }>({ group: text }, ['group']), rate, ratePerKey: rate },
  },
  ['name', 'identities'],
);
const key = object<KeyOptions>({ contexts: texts, uses: texts });
/** By a label, say, a rule would be no key's. */
const isByKeyId = (value: unknown) =>
  typeof value === 'object' &&
  value !== null &&
  !Array.isArray(value) &&
  Object.keys(value).every((name) => asKeyId(name) !== undefined);
/** A policy file may be given as it was read, with its version. */
const grantsForm = object<GrantsOptions & { readonly version: 1 }>(
  {
    version: needs('must be 1', (value) => value === 1),
    clients: each(client, Array.isArray, 'must be an array'),
    keys: each(key, isByKeyId, 'must be an object by key ids, 40 hexadecimal digits each'),
    revoked,
    ticketGeneration: generation,
  },
  ['clients'],
);

/** @throws KeylessError ERR_KEYLESS_INVALID_ARGUMENT that says which part is wrong */
export function requireGrants(grants: GrantsOptions | undefined): void {
  const wrong = grants === undefined ? undefined : grantsForm(grants);
  if (wrong !== undefined) throw new KeylessError('ERR_KEYLESS_INVALID_ARGUMENT', `"grants"${wrong}.`);
}

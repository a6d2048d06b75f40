/** `keyless-tls init`: a private authority, and what key server and edges need to know each other. */
import { randomBytes, X509Certificate } from 'node:crypto';
import { isIPv4 } from 'node:net';
import { join } from 'node:path';
import { KeylessError } from '../errors.ts';
import { alternativeNames } from '../protocol/alternative-names.ts';
import { aloneIn } from './awaited-lock.ts';
import { CertificateAuthority } from './certificate-authority.ts';
import { type Command, parsePositionals, UsageError } from './command.ts';
import { type EdgesPlan, edgeCertificate, makeEdges, type Refusal } from './init-edges.ts';
import { NewFiles } from './new-files.ts';
import { print } from './standard-output.ts';

const USAGE = `keyless-tls init: a private authority, a key server's certificate, a policy, and a certificate for each edge

Usage: keyless-tls init DIRECTORY [options]

  --server NAME   a host name or IPv4 address of the key server, any number; default localhost and 127.0.0.1
  --edge NAME     an edge, any number; default edge-1
  --days N        how long the certificates of edges and server are valid, 1 to 825; default 30
  --renew         new certificates and keys for the server, if --server is given, and for the edges that are named
  --renew-due N   the same for whichever certificates there are that have less than N days left, with the names they have: for a
                  timer. Prints what it has written; nothing: none was due
  --policy FILE   the policy that names the edges; default DIRECTORY/server/policy.json. An edge that is revoked there, or that
                  it does not name, is not renewed; a new edge is put into it

Makes in DIRECTORY: ca/ (keep ca.key offline), server/ (for the key server: put the sites' keys into server/keys; every
further key server needs the same ticket.secret) and edges/NAME/ (for that edge, which gets nothing else). Run again with --edge NAME it adds an edge. Files that are there
stay as they are, but for --renew.

Example:
  keyless-tls init ./pki --server keys-1.internal --edge edge-1 --edge edge-2
`;

const OPTIONS = {
  server: { type: 'string', multiple: true },
  edge: { type: 'string', multiple: true },
  days: { type: 'string', default: '30' },
  renew: { type: 'boolean', default: false },
  'renew-due': { type: 'string' },
  policy: { type: 'string' },
} as const;

const HINT = 'keyless-tls init --help';
const AUTHORITY_DAYS = 3650;
const MAX_DAYS = 825;
const EXIT_FAILED = 1;
const TICKET_SECRET_BYTES = 32;
const SERVER_CERTIFICATE = 'server/server.crt';
const SERVER_KEY = 'server/server.pem';
/** RFC 1123 §2.1. */
const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i;
/** RFC 1035 §2.3.4 for host names; an edge's is that of its folder, too, and of what it is called in logs. */
const MOST_LETTERS = { server: 253, edge: 63 } as const;
/** RFC 5280, appendix A.1, ub-common-name. */
const MAX_COMMON_NAME = 64;

interface Plan extends EdgesPlan {
  readonly directory: string;
  readonly servers: readonly string[];
  /** And not what there is without --server. */
  readonly isServerNamed: boolean;
}

/** Of a server: what ends in a number is an address (WHATWG URL §3.5), or a slip. */
const NUMBER_AT_END = /(^|\.)\d+$/;

function namesOf(option: 'server' | 'edge', values: readonly string[]): readonly string[] {
  const most = MOST_LETTERS[option];
  const isName = (value: string) =>
    value.length <= most && value.split('.').every((label) => LABEL.test(label));
  const isSlip = (value: string) => option === 'server' && NUMBER_AT_END.test(value) && !isIPv4(value);
  const bad = values.find((value) => !isName(value) || isSlip(value));
  if (bad === undefined) return [...new Set(values)];
  throw new UsageError(
    `--${option} ${JSON.stringify(bad)} is not a host name of at most ${most} letters.`,
    HINT,
  );
}

const DAY_MS = 86_400_000;

function serverCertificate(files: NewFiles): ReturnType<NewFiles['certificate']> {
  return files.certificate(SERVER_CERTIFICATE, SERVER_KEY);
}

/** One that cannot be read is: whoever renews it says so. */
function isDue(certificate: ReturnType<NewFiles['certificate']>, dueMs: number): boolean {
  if (!(certificate instanceof X509Certificate)) return certificate !== undefined;
  return Date.parse(certificate.validTo) - Date.now() < dueMs;
}

function namesIn(certificate: X509Certificate): string[] {
  const names = (alternativeNames(certificate) ?? '').matchAll(/(?:DNS|IP Address):([^,\s]+)/g);
  return [...names].map(([, name]) => name!);
}

/** @returns the names that a server's certificate which is due has; none: it is not, or cannot be read */
function dueServers(certificate: ReturnType<NewFiles['certificate']>, dueMs: number): string[] {
  return certificate instanceof X509Certificate && isDue(certificate, dueMs) ? namesIn(certificate) : [];
}

function policyOf(directory: string, { policy }: { policy?: string }): string {
  return policy ?? join(directory, 'server/policy.json');
}

function duePlan(
  directory: string,
  values: { server?: string[]; edge?: string[]; renew: boolean; 'renew-due'?: string; policy?: string },
  days: number,
): Plan {
  const due = Number(values['renew-due']);
  if (!Number.isInteger(due) || due < 1 || due >= days) {
    throw new UsageError(
      '--renew-due is a whole number of days, 1 or more, and less than --days: else all would be due for ever.',
      HINT,
    );
  }
  if (values.renew || values.server !== undefined || values.edge !== undefined) {
    throw new UsageError('--renew-due finds by itself what there is: no --renew, --server or --edge.', HINT);
  }
  const files = new NewFiles(directory);
  if (!files.has('ca/ca.crt') && !files.has('ca/ca.key')) {
    requireNoAuthority(files);
    throw new UsageError(`${JSON.stringify(directory)} has no ca/ca.key: it was not made by init.`, HINT);
  }
  return {
    directory,
    servers: dueServers(serverCertificate(files), due * DAY_MS),
    edges: files.names('edges').filter((edge) => isDue(edgeCertificate(files, edge), due * DAY_MS)),
    isServerNamed: false,
    days,
    renew: true,
    due: true,
    policy: policyOf(directory, values),
  };
}

function planOf(args: readonly string[]): Plan {
  const { values, positionals } = parsePositionals('init', args, OPTIONS);
  const [directory, ...rest] = positionals;
  if (directory === undefined || rest.length > 0) throw new UsageError('It needs one directory.', HINT);
  const days = Number(values.days);
  if (!Number.isInteger(days) || days < 1 || days > MAX_DAYS) {
    throw new UsageError(`--days is a whole number from 1 to ${MAX_DAYS}.`, HINT);
  }
  if (values['renew-due'] !== undefined) return duePlan(directory, values, days);
  const { renew } = values;
  if (renew && values.server === undefined && values.edge === undefined) {
    throw new UsageError('--renew needs to know what: --server NAME, --edge NAME.', HINT);
  }
  return {
    directory,
    servers: namesOf('server', values.server ?? (renew ? [] : ['localhost', '127.0.0.1'])),
    edges: namesOf('edge', values.edge ?? (renew ? [] : ['edge-1'])),
    isServerNamed: values.server !== undefined,
    days,
    renew,
    due: false,
    policy: policyOf(directory, values),
  };
}

function unusable(what: string, cause?: unknown): KeylessError {
  return new KeylessError('ERR_KEYLESS_INVALID_ARGUMENT', what, { cause });
}

function loadAuthority(files: NewFiles): CertificateAuthority {
  try {
    return CertificateAuthority.load(files.read('ca/ca.crt'), files.read('ca/ca.key'));
  } catch (cause) {
    throw unusable(`ca/ca.crt and ca/ca.key cannot be used: ${(cause as Error).message}`, cause);
  }
}

/** Another authority would take the place of the key that was kept, and its certificates would be nobody's to whom knows the first. */
function requireNoAuthority(files: NewFiles): void {
  const edges = files.names('edges').map((edge) => `edges/${edge}/ca.crt`);
  const left = ['ca/ca.key', 'server/ca.crt', ...edges].find((name) => files.has(name));
  if (left === undefined) return;
  throw unusable(
    `There is ${left}, but not ca/ca.crt: bring the authority's folder ca back (server/ca.crt is a copy of ca.crt), or begin in another directory.`,
  );
}

function authorityIn(files: NewFiles): CertificateAuthority {
  if (files.has('ca/ca.crt')) return loadAuthority(files);
  requireNoAuthority(files);
  files.folder('ca');
  const authority = CertificateAuthority.make('keyless-tls', AUTHORITY_DAYS);
  files.write({ 'ca/ca.key': authority.keyPem, 'ca/ca.crt': authority.certPem });
  return authority;
}

function newTicketSecret(): string {
  return `${randomBytes(TICKET_SECRET_BYTES).toString('base64')}\n`;
}

/** It is always there, and locked while a command is at work: the directory itself may be locked by whoever runs it. */
const OWN_FOLDER = 'server';

function writeServer(files: NewFiles, authority: CertificateAuthority, { servers, days, renew }: Plan): void {
  files.folder('server/keys');
  if (servers.length > 0 && (renew || serverCertificate(files) === undefined)) {
    const ipv4Addresses = servers.filter((name) => isIPv4(name));
    const dnsNames = servers.filter((name) => !isIPv4(name));
    const { certPem, keyPem } = authority.issue({
      // Whoever looks at names looks at the alternative ones.
      commonName: servers.find((name) => name.length <= MAX_COMMON_NAME) ?? 'key server',
      dnsNames,
      ipv4Addresses,
      usage: 'server',
      keyType: 'ec',
      days,
    });
    files.write({ [SERVER_KEY]: keyPem, [SERVER_CERTIFICATE]: certPem });
  }
  if (!files.has('server/ca.crt')) files.write({ 'server/ca.crt': authority.certPem });
  // Never replaced by --renew: every key server of the fleet has the same.
  if (!files.has('server/ticket.secret')) files.write({ 'server/ticket.secret': newTicketSecret() });
}

/** Without --server, a renewal cannot know what names a certificate had that cannot be read. */
function serverProblem(files: NewFiles, { servers, isServerNamed }: Plan): string | undefined {
  const found = serverCertificate(files);
  if (found instanceof Error) {
    const what = 'Put it back, or make another with --renew and --server NAME.';
    return `${SERVER_CERTIFICATE} cannot be used: ${found.message}. ${what}`;
  }
  if (found === undefined || !isServerNamed) return undefined;
  const names = namesIn(found).map((name) => name.toLowerCase());
  const missing = servers.filter((name) => !names.includes(name.toLowerCase()));
  if (missing.length === 0) return undefined;
  const what = 'Make another with --renew, and --server with each name that it is to have.';
  return `${SERVER_CERTIFICATE} is there, stays as it is, and is not for ${missing.join(', ')}. ${what}`;
}

function serverRefusals(files: NewFiles, plan: Plan): Refusal[] {
  const why = serverProblem(files, plan);
  return why === undefined ? [] : [{ why, isFailure: true }];
}

/** Certificates that outlive their authority are nobody's, whatever they say: whoever renews them hears of it in time to begin another one. */
function tellOfEnd({ endsAt }: CertificateAuthority, days: number): void {
  const leftMs = endsAt - Date.now();
  if (leftMs > days * DAY_MS) return;
  const end = new Date(endsAt).toISOString();
  const what = 'Begin another one, in another directory, and let key servers and edges know both for a while';
  if (leftMs <= 0) throw unusable(`The authority of ca/ca.crt has ended (${end}). ${what}.`);
  process.stderr.write(
    `keyless-tls: The authority of ca/ca.crt ends at ${end}, and all its certificates with it, whatever they say. ${what}.\n`,
  );
}

/** For a shell. */
function quoted(path: string): string {
  return /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}

function nextSteps({ directory, servers, edges, days, policy }: Plan, files: NewFiles): string {
  if (servers[0] === undefined || edges[0] === undefined) return '';
  const certificate = edgeCertificate(files, edges[0]);
  // That of an edge which is not made, or is damaged: it has been said.
  if (!(certificate instanceof X509Certificate)) return '';
  const own = serverCertificate(files);
  const name = (own instanceof X509Certificate && namesIn(own)[0]) || servers[0];
  const at = (path: string) => quoted(join(directory, path));
  const edge = (file: string) => at(`edges/${edges[0]}/${file}`);
  const until = certificate.validTo;
  return `
Put the sites' private keys into ${join(directory, 'server/keys')} (files named *.key, readable by their owner only), then:

  keyless-tls serve --cert ${at('server/server.crt')} --key ${at('server/server.pem')} --ca ${at('server/ca.crt')} \\
    --keys ${at('server/keys')} --policy ${quoted(policy)} --ticket-secret ${at('server/ticket.secret')}
  keyless-tls check --cert ${edge('edge.crt')} --key ${edge('edge.key')} --ca ${edge('ca.crt')} --server ${name}:2407

The certificates are valid for ${days} days (until ${until}); renew them with --renew. Keep ${join(directory, 'ca')} offline.
`;
}

async function make(plan: Plan, files: NewFiles): Promise<number> {
  const authority = authorityIn(files);
  tellOfEnd(authority, plan.days);
  writeServer(files, authority, plan);
  const refused = [...serverRefusals(files, plan), ...(await makeEdges(files, authority, plan))];
  for (const { why } of refused) process.stderr.write(`keyless-tls: ${why}\n`);
  await print(nextSteps(plan, files));
  return refused.some(({ isFailure }) => isFailure) ? EXIT_FAILED : 0;
}

async function run(args: readonly string[]): Promise<number> {
  const { directory } = planOf(args);
  const files = new NewFiles(directory);
  files.folder(OWN_FOLDER);
  // Two at once would make two authorities, and leave the key of one beside the certificate of the other; and what the first has renewed
  // is due no more.
  return aloneIn(join(directory, OWN_FOLDER), () => make(planOf(args), files));
}

/** See {@link USAGE}. */
export const init: Command = { usage: USAGE, run };

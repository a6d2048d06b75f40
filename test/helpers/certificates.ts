/**
 * Certificates for tests, made at start by the `openssl` command: no key is ever committed, and what makes them is not
 * what is tested. Everything happens in a temporary folder that is removed at once.
 */
import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export type KeyKind = 'rsa' | 'rsa-pss' | 'p256' | 'p384' | 'p521' | 'ed25519' | 'ed448';

export const KEY_KINDS: readonly KeyKind[] = ['rsa', 'rsa-pss', 'p256', 'p384', 'p521', 'ed25519', 'ed448'];

/** A certificate with its key, as PEM and DER. */
export interface Issued {
  readonly certPem: string;
  readonly keyPem: string;
  readonly certDer: Buffer;
}

export interface IssueOptions {
  readonly type: KeyKind;
  readonly cn?: string;
  readonly dns?: readonly string[];
  readonly uri?: readonly string[];
  /** In place of all names: what openssl takes as the extension's value, as `DER:30:00`. */
  readonly alternativeNames?: string;
  /** Extensions more, as openssl takes them: `1.2.3.4=critical,DER:05:00`. */
  readonly more?: readonly string[];
  readonly usage?: 'server' | 'client' | 'both';
  /** Of RSA keys; default 2048. */
  readonly bits?: number;
  /** From now; negative: expired. Default 2. */
  readonly days?: number;
}

export interface Authority {
  readonly certPem: string;
  readonly keyPem: string;
  issue(options: IssueOptions): Promise<Issued>;
  /** For a key of any type that was made elsewhere. @param cn default `localhost` */
  issueFor(keyPem: string, cn?: string): Promise<Issued>;
  /** For a key that nobody here has: `keyPem` is empty. */
  issueForPublic(publicPem: string): Promise<Issued>;
  /** A revocation list with these certificates, PEM. */
  revoke(certificates: readonly Pick<Issued, 'certPem'>[]): Promise<string>;
  /** An authority whose certificate is from this one. @param keyPem default: a new P-256 key; @param days as of {@link IssueOptions} */
  subordinate(name: string, keyPem?: string, days?: number): Promise<Authority>;
}

const CURVES: Readonly<Record<string, string>> = { p256: 'P-256', p384: 'P-384', p521: 'P-521' };

function keyArguments(type: KeyKind, bits: number): string[] {
  if (type === 'ed25519' || type === 'ed448') return ['-algorithm', type];
  const curve = CURVES[type];
  if (curve !== undefined) return ['-algorithm', 'EC', '-pkeyopt', `ec_paramgen_curve:${curve}`];
  return ['-algorithm', type === 'rsa' ? 'RSA' : 'RSA-PSS', '-pkeyopt', `rsa_keygen_bits:${bits}`];
}

async function inFolder<T>(work: (path: (name: string) => string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'keyless-tls-test-'));
  try {
    return await work((name) => join(folder, name));
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** @param bits of RSA keys */
async function makeKey(type: KeyKind, bits = 2048): Promise<string> {
  const { stdout } = await run('openssl', ['genpkey', ...keyArguments(type, bits)]);
  return stdout;
}

const USAGES = { server: 'serverAuth', client: 'clientAuth', both: 'serverAuth,clientAuth' } as const;

const AUTHORITY_USAGE = ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign,cRLSign'];

function extensions(options: Omit<IssueOptions, 'type'>): string {
  const { dns = ['localhost'], uri = [], usage = 'both' } = options;
  const names = [...dns.map((name) => `DNS:${name}`), ...uri.map((name) => `URI:${name}`), 'IP:127.0.0.1'];
  return [
    'basicConstraints=critical,CA:FALSE',
    `extendedKeyUsage=${USAGES[usage]}`,
    `subjectAltName=${options.alternativeNames ?? names.join(',')}`,
    'subjectKeyIdentifier=hash',
    'authorityKeyIdentifier=keyid',
    ...(options.more ?? []),
  ].join('\n');
}

async function issue(
  authority: { certPem: string; keyPem: string },
  keyPem: string,
  options: Omit<IssueOptions, 'type'>,
  lines = extensions(options),
): Promise<Issued> {
  return inFolder(async (path) => {
    await writeFile(path('ca.crt'), authority.certPem);
    await writeFile(path('ca.key'), authority.keyPem, { mode: 0o600 });
    await writeFile(path('key'), keyPem, { mode: 0o600 });
    await writeFile(path('ext'), lines);
    await run('openssl', [
      'req',
      '-new',
      '-key',
      path('key'),
      '-subj',
      `/CN=${options.cn ?? 'localhost'}`,
      '-out',
      path('csr'),
    ]);
    const signing = [
      '-CA',
      path('ca.crt'),
      '-CAkey',
      path('ca.key'),
      '-CAcreateserial',
      '-extfile',
      path('ext'),
    ];
    const days = ['-days', String(options.days ?? 2)];
    await run('openssl', ['x509', '-req', '-in', path('csr'), ...signing, ...days, '-out', path('crt')]);
    const certPem = await readFile(path('crt'), 'utf8');
    return { certPem, keyPem, certDer: new X509Certificate(certPem).raw };
  });
}

async function issueForPublic(
  authority: { certPem: string; keyPem: string },
  publicPem: string,
): Promise<Issued> {
  return inFolder(async (path) => {
    await writeFile(path('ca.crt'), authority.certPem);
    await writeFile(path('ca.key'), authority.keyPem, { mode: 0o600 });
    await writeFile(path('public'), publicPem);
    await writeFile(path('ext'), extensions({}));
    const signing = ['-CA', path('ca.crt'), '-CAkey', path('ca.key'), '-extfile', path('ext'), '-days', '2'];
    const subject = ['-subj', '/CN=localhost', '-force_pubkey', path('public')];
    const { stdout: certPem } = await run('openssl', ['x509', '-new', ...subject, ...signing]);
    return { certPem, keyPem: '', certDer: new X509Certificate(certPem).raw };
  });
}

const REVOKING = `[ca]
default_ca=own
[own]
database=index
crlnumber=number
default_md=sha256
default_crl_days=2
`;

async function revoke(
  { certPem, keyPem }: { certPem: string; keyPem: string },
  certificates: readonly Pick<Issued, 'certPem'>[],
): Promise<string> {
  return inFolder(async (path) => {
    await writeFile(path('ca.crt'), certPem);
    await writeFile(path('ca.key'), keyPem, { mode: 0o600 });
    const config = REVOKING.replace('=index', `=${path('index')}`).replace('=number', `=${path('number')}`);
    await writeFile(path('config'), config);
    await writeFile(path('index'), '');
    await writeFile(path('number'), '01');
    const ca = ['ca', '-config', path('config'), '-cert', path('ca.crt'), '-keyfile', path('ca.key')];
    for (const [at, certificate] of certificates.entries()) {
      await writeFile(path(`${at}.crt`), certificate.certPem);
      await run('openssl', [...ca, '-revoke', path(`${at}.crt`)]);
    }
    const { stdout } = await run('openssl', [...ca, '-gencrl']);
    return stdout;
  });
}

async function subordinate(
  authority: { certPem: string; keyPem: string },
  name: string,
  keyPem: string | undefined,
  days: number | undefined,
): Promise<Authority> {
  const lines = [...AUTHORITY_USAGE, 'subjectKeyIdentifier=hash', 'authorityKeyIdentifier=keyid'].join('\n');
  return authorityOf(
    await issue(authority, keyPem ?? (await makeKey('p256')), { cn: name, ...(days && { days }) }, lines),
  );
}

function authorityOf({ certPem, keyPem }: { certPem: string; keyPem: string }): Authority {
  const authority = { certPem, keyPem };
  return {
    ...authority,
    issue: async (options) => issue(authority, await makeKey(options.type, options.bits), options),
    issueFor: (key, cn) => issue(authority, key, cn === undefined ? {} : { cn }),
    issueForPublic: (publicPem) => issueForPublic(authority, publicPem),
    revoke: (certificates) => revoke(authority, certificates),
    subordinate: (name, key, days) => subordinate(authority, name, key, days),
  };
}

export interface AuthorityOptions {
  /** Default: a new P-256 key. */
  readonly keyPem?: string;
  /** Which types of string its name may have, as openssl-req(1) has it; default `utf8only`. */
  readonly stringMask?: string;
}

/** A private certificate authority. */
export async function makeAuthority(
  name = 'Test authority',
  { keyPem: own, stringMask = 'utf8only' }: AuthorityOptions = {},
): Promise<Authority> {
  const keyPem = own ?? (await makeKey('p256'));
  const certPem = await inFolder(async (path) => {
    await writeFile(path('key'), keyPem, { mode: 0o600 });
    await writeFile(path('config'), `[req]\nstring_mask=${stringMask}\ndistinguished_name=none\n[none]\n`);
    const usage = [...AUTHORITY_USAGE, 'subjectKeyIdentifier=hash'].flatMap((line) => ['-addext', line]);
    const { stdout } = await run('openssl', [
      'req',
      '-config',
      path('config'),
      '-x509',
      '-key',
      path('key'),
      '-subj',
      `/CN=${name}`,
      '-days',
      '3',
      ...usage,
    ]);
    return stdout;
  });
  return authorityOf({ certPem, keyPem });
}

/**
 * A folder of certificates as the hosts of a proxy: `NAME.crt` with `NAME.key`, a private key or a stub. The names are
 * those in the certificates.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls';
import { readBounded, readGuarded } from '../server/guarded-file.ts';
import { readStub } from '../wrap/stub.ts';
import { dnsNamesOf, HostNames } from './host-names.ts';

/** A file that gives no host, and why. */
export interface HostProblem {
  readonly file: string;
  readonly reason: string;
}

/** A certificate and what stands for its key, as they are in the folder. */
interface Pair {
  readonly file: string;
  readonly certPem: string;
  readonly key: string | Buffer;
  readonly isStub: boolean;
  readonly names: readonly string[];
  readonly expiresAt: Date;
}

/** What node:tls makes the host's context of. */
export type HostSecrets = Pick<SecureContextOptions, 'cert' | 'key' | 'minVersion' | 'sessionIdContext'>;

/** Sessions are of all hosts alike until the name is known; OpenSSL then compares the names. */
export const SESSION_ID_CONTEXT = 'keyless-tls proxy';

export interface Host {
  /** The name of its file, without `.crt`. */
  readonly label: string;
  readonly names: readonly string[];
  readonly context: SecureContext;
  readonly secrets: HostSecrets;
  readonly expiresAt: Date;
}

export interface HostFolder {
  readonly hosts: readonly Host[];
  readonly problems: readonly HostProblem[];
  /** Pairs by file, for another look: a file that can no longer be used keeps what it was. */
  readonly pairs: ReadonlyMap<string, Pair>;
}

const MAX_FILE_BYTES = 65_536;
const SUFFIX = '.crt';

function keyIn(path: string): { key: string | Buffer; isStub: boolean } {
  const text = readBounded(path, MAX_FILE_BYTES).toString('latin1');
  if (readStub(text) !== undefined) return { key: text, isStub: true };
  return { key: readGuarded(path, MAX_FILE_BYTES), isStub: false };
}

function readPair(folder: string, file: string): Pair {
  const certPem = readBounded(join(folder, file), MAX_FILE_BYTES).toString('utf8');
  const certificate = new X509Certificate(certPem);
  const names = dnsNamesOf(certificate);
  if (names.length === 0) throw new Error('its certificate names no host (subjectAltName, DNS)');
  const { key, isStub } = keyIn(join(folder, `${file.slice(0, -SUFFIX.length)}.key`));
  return { file, certPem, key, isStub, names, expiresAt: new Date(certificate.validTo) };
}

/** Each error in words that follow the name of a file. */
function reasonOf(error: unknown): string {
  const { code, message, path } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT' && path?.endsWith('.key')) return 'there is no .key of its name beside it';
  // A socket cannot even be opened.
  if (code === 'ENXIO') return 'it is not a file';
  if (code === 'EACCES') return 'this process may not read it, or its key';
  return message;
}

function readPairs(folder: string, before: HostFolder['pairs'], problems: HostProblem[]): Map<string, Pair> {
  const pairs = new Map<string, Pair>();
  const labels = readdirSync(folder).flatMap(
    (name) => /^(?<label>[^.].*)\.crt$/s.exec(name)?.groups?.label ?? [],
  );
  for (const file of labels.sort().map((label) => label + SUFFIX)) {
    try {
      pairs.set(file, readPair(folder, file));
    } catch (error) {
      problems.push({ file, reason: reasonOf(error) });
      const old = before.get(file);
      if (old !== undefined) pairs.set(file, old);
    }
  }
  return pairs;
}

/** OpenSSL refuses the key of another certificate only where both are of one kind: it has room for a key of each. */
function checkKind({ certPem, key, isStub }: Pair): void {
  if (isStub || new X509Certificate(certPem).checkPrivateKey(createPrivateKey(key))) return;
  throw new Error('the .key beside it belongs to another certificate');
}

/** The certificate of a host that is chosen by its name: Node.js takes one, not one for each kind of key. */
function hostOf(pair: Pair): Host {
  const { file, certPem, key, names, expiresAt } = pair;
  const sessionIdContext = SESSION_ID_CONTEXT;
  const secrets: HostSecrets = { cert: certPem, key, minVersion: 'TLSv1.2', sessionIdContext };
  const label = file.slice(0, -SUFFIX.length);
  const context = createSecureContext(secrets);
  checkKind(pair);
  return { label, names, context, secrets, expiresAt };
}

/** A pair that OpenSSL refuses (another certificate's key) hides no other host. */
function hostsOf(pairs: Iterable<Pair>, problems: HostProblem[]): Host[] {
  return [...pairs].flatMap((pair) => {
    try {
      return [hostOf(pair)];
    } catch (error) {
      problems.push({ file: pair.file, reason: reasonOf(error) });
      return [];
    }
  });
}

const NOTHING: HostFolder = { hosts: [], problems: [], pairs: new Map() };

/**
 * @param before what the folder held at the last look
 * @param prepare is called before contexts are made, with whether a key is a stub: `register` is loaded for those only
 * @throws Error if the folder cannot be read, or whatever `prepare` rejects with
 */
export async function readHostFolder(
  folder: string,
  before: HostFolder = NOTHING,
  prepare: (anyStub: boolean) => Promise<void> = async () => undefined,
): Promise<HostFolder> {
  const problems: HostProblem[] = [];
  const pairs = readPairs(folder, before.pairs, problems);
  await prepare([...pairs.values()].some(({ isStub }) => isStub));
  const hosts = hostsOf(pairs.values(), problems);
  // A pair that no longer fits together leaves the host that it was.
  const labels = new Set(hosts.map(({ label }) => label));
  const broken = new Set(problems.map(({ file }) => file.slice(0, -SUFFIX.length)));
  const kept = before.hosts.filter(({ label }) => broken.has(label) && !labels.has(label));
  return { hosts: [...hosts, ...kept], problems, pairs };
}

/** The index of a folder's hosts; a name that two files have is the first one's. */
export function indexHosts({ hosts, problems }: HostFolder): {
  index: HostNames<Host>;
  problems: readonly HostProblem[];
} {
  const index = new HostNames<Host>();
  const taken: HostProblem[] = [];
  for (const host of hosts) {
    const double = host.names.filter((name) => !index.add(name, host));
    if (double.length > 0)
      taken.push({ file: `${host.label}.crt`, reason: `another file has its names ${double.join(', ')}` });
  }
  return { index, problems: [...problems, ...taken] };
}

/**
 * A folder of certificates as the hosts of a proxy: `NAME.crt` with `NAME.key`, a private key or a stub. The names are
 * those in the certificates.
 */
import { createHash, createPrivateKey, X509Certificate } from 'node:crypto';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as othersTurn } from 'node:timers/promises';
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls';
import { cheapGroups } from '../protocol/key-exchange.ts';
import { readBounded, readGuarded } from '../server/guarded-file.ts';
import { isAsItWas, type SeenFile, seeFile } from '../server/seen-file.ts';
import { readStub } from '../wrap/stub.ts';
import { dnsNamesOf, HostNames } from './host-names.ts';

/** A file that gives no host, and why. */
export interface HostProblem {
  readonly file: string;
  readonly reason: string;
}

/** A certificate and what stands for its key, as they are in the folder. */
interface Pair {
  readonly certPem: string;
  readonly key: string | Buffer;
  readonly isStub: boolean;
  readonly names: readonly string[];
  readonly expiresAt: Date;
  /** Another one if one of them is another. */
  readonly digest: string;
}

/** What node:tls makes the host's context of. */
export type HostSecrets = Pick<
  SecureContextOptions,
  'cert' | 'key' | 'minVersion' | 'ecdhCurve' | 'sessionIdContext'
>;

/** Of every host, and of the server where no host is known. */
export function commonOptions(): HostSecrets {
  // Sessions are of all hosts alike until the name is known; OpenSSL then compares the names.
  return { minVersion: 'TLSv1.2', ecdhCurve: cheapGroups(), sessionIdContext: 'keyless-tls proxy' };
}

export interface Host {
  /** The name of its file, without `.crt`. */
  readonly label: string;
  readonly names: readonly string[];
  readonly context: SecureContext;
  readonly secrets: HostSecrets;
  readonly expiresAt: Date;
}

/** The files of one host as they were found. */
export interface HostFiles {
  /** `undefined`: they are to be read again, however they are found. */
  readonly seen: SeenFile | undefined;
  /** Of what the host was made of. */
  readonly digest: string | undefined;
  /** What they make, or made before they had a problem. */
  readonly host: Host | undefined;
  readonly isStub: boolean;
  /** `undefined`: none. */
  readonly problem: string | undefined;
}

export interface HostFolder {
  readonly hosts: readonly Host[];
  readonly problems: readonly HostProblem[];
  /** By label, for another look. */
  readonly files: ReadonlyMap<string, HostFiles>;
}

const MAX_FILE_BYTES = 65_536;
const SUFFIX = '.crt';

function keyIn(path: string): { key: string | Buffer; isStub: boolean } {
  const text = readBounded(path, MAX_FILE_BYTES).toString('latin1');
  if (readStub(text) !== undefined) return { key: text, isStub: true };
  return { key: readGuarded(path, MAX_FILE_BYTES), isStub: false };
}

function readPair([certPath, keyPath]: Paths): Pair {
  const certPem = readBounded(certPath, MAX_FILE_BYTES).toString('utf8');
  const certificate = new X509Certificate(certPem);
  const names = dnsNamesOf(certificate);
  if (names.length === 0) throw new Error('its certificate names no host (subjectAltName, DNS)');
  const { key, isStub } = keyIn(keyPath);
  const digest = createHash('sha256').update(certPem).update(key).digest('hex');
  return { certPem, key, isStub, names, expiresAt: new Date(certificate.validTo), digest };
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

/** Looking at the files of one host takes 10 µs, making it 1 ms. */
const LOOKS_AT_ONCE = 100;

type Paths = readonly [certPath: string, keyPath: string];

/** Also of what cannot be looked at: it may change. */
function seeBoth(paths: Paths, before: SeenFile | undefined): SeenFile {
  let changedAtMs = 0;
  const stamps = paths.map((path) => {
    try {
      const { dev, ino, size, mode, mtimeMs, ctimeMs } = statSync(path);
      changedAtMs = Math.max(changedAtMs, mtimeMs, ctimeMs);
      return [dev, ino, size, mode, mtimeMs, ctimeMs].join();
    } catch (error) {
      return reasonOf(error);
    }
  });
  return seeFile(stamps.join('\n'), changedAtMs, before);
}

/** OpenSSL refuses the key of another certificate only where both are of one kind: it has room for a key of each. */
function checkKind({ certPem, key, isStub }: Pair): void {
  if (isStub || new X509Certificate(certPem).checkPrivateKey(createPrivateKey(key))) return;
  throw new Error('the .key beside it belongs to another certificate');
}

/** The certificate of a host that is chosen by its name: Node.js takes one, not one for each kind of key. */
function hostOf(label: string, pair: Pair): Host {
  const { certPem, key, names, expiresAt } = pair;
  const secrets: HostSecrets = { ...commonOptions(), cert: certPem, key };
  const context = createSecureContext(secrets);
  checkKind(pair);
  return { label, names, context, secrets, expiresAt };
}

/** Files with a problem leave the host that they were. @returns `before`: they are as they were */
async function look(
  folder: string,
  label: string,
  before: HostFiles | undefined,
  prepareStubs: () => Promise<void>,
): Promise<HostFiles> {
  const paths: Paths = [join(folder, label + SUFFIX), join(folder, `${label}.key`)];
  const seen = seeBoth(paths, before?.seen);
  if (before !== undefined && isAsItWas(seen, before.seen)) return before;
  const { host, digest, isStub = false } = before ?? {};
  const failed = (error: unknown) => ({ seen, digest, host, isStub, problem: reasonOf(error) });
  let pair: Pair;
  try {
    pair = readPair(paths);
  } catch (error) {
    return failed(error);
  }
  if (host !== undefined && digest === pair.digest) return { seen, digest, host, isStub, problem: undefined };
  try {
    if (pair.isStub) await prepareStubs();
    const { digest, isStub } = pair;
    return { seen, digest, host: hostOf(label, pair), isStub, problem: undefined };
  } catch (error) {
    return failed(error);
  }
}

function labelsIn(folder: string): string[] {
  return readdirSync(folder)
    .flatMap((name) => /^(?<label>[^.].*)\.crt$/s.exec(name)?.groups?.label ?? [])
    .sort();
}

const NOTHING: HostFolder = { hosts: [], problems: [], files: new Map() };

/**
 * Looks at the files of a folder, and reads those that are not as they were. Others have their turns meanwhile: there may
 * be thousands.
 *
 * @param before what the folder held at the last look
 * @param prepareStubs is called before a context is made with a stub: `register` is loaded for those only. What it rejects
 * with is a problem of that host
 * @throws Error if the folder cannot be read
 */
export async function readHostFolder(
  folder: string,
  before: HostFolder = NOTHING,
  prepareStubs: () => Promise<void> = async () => undefined,
): Promise<HostFolder> {
  const files = new Map<string, HostFiles>();
  for (const label of labelsIn(folder)) {
    const known = before.files.get(label);
    const found = await look(folder, label, known, prepareStubs);
    files.set(label, found);
    if (found !== known || files.size % LOOKS_AT_ONCE === 0) await othersTurn();
  }
  const hosts = [...files.values()].flatMap(({ host }) => host ?? []);
  const problems = [...files].flatMap(([label, { problem }]) =>
    problem === undefined ? [] : { file: label + SUFFIX, reason: problem },
  );
  return { hosts, problems, files };
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

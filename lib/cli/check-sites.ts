/** `keyless-tls check --site`: the certificates whose keys are to be tried, from files, and from directories as edges have them. */
import { X509Certificate } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { pemBlocks } from '../protocol/pem-blocks.ts';
import { readBounded } from '../server/guarded-file.ts';
import { UsageError } from './command.ts';

const HINT = 'keyless-tls check --help';
const MAX_FILE_BYTES = 1_048_576;

export interface Sites {
  readonly sites: ReadonlyMap<string, X509Certificate>;
  /** Of a directory, what may be a site's certificate and cannot be looked at, and why not. */
  readonly unread: ReadonlyMap<string, Error>;
  /** Of a directory, what is no site's: the path of one that it has signed. */
  readonly authorities: ReadonlyMap<string, string>;
}

function siteCertificate(path: string): X509Certificate {
  try {
    return new X509Certificate(readFileSync(path));
  } catch (error) {
    throw new UsageError(
      `--site ${JSON.stringify(path)} holds no certificate: ${(error as Error).message}`,
      HINT,
    );
  }
}

function certificateOf(content: Buffer): X509Certificate {
  try {
    return new X509Certificate(content);
  } catch (cause) {
    throw new Error('it holds no certificate', { cause });
  }
}

/** As OpenSSL reads them, and a file that is named by itself. */
const LABELS = ['CERTIFICATE', 'X509 CERTIFICATE', 'TRUSTED CERTIFICATE'];
const CERTIFICATE = /BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----/;

/** A site's own, and those of its chain. @returns none: it is something else, such as a key. @throws Error that says why it cannot be read */
function chainIn(path: string): readonly X509Certificate[] {
  const content = readBounded(path, MAX_FILE_BYTES);
  const text = content.toString('utf8');
  // What is called a certificate is one in DER, or damaged.
  if (!CERTIFICATE.test(text)) return path.endsWith('.crt') ? [certificateOf(content)] : [];
  return pemBlocks(text, LABELS, 'The file').map(({ whole }) => new X509Certificate(whole));
}

/** Whoever has signed for its own key only may be a site: `openssl req -x509` makes them with `CA:TRUE`. */
function hasSigned(certificate: X509Certificate, other: X509Certificate): boolean {
  if (!certificate.ca || !other.checkIssued(certificate)) return false;
  return !other.publicKey.equals(certificate.publicKey) && other.verify(certificate.publicKey);
}

function sitesOf(directory: string): Sites {
  const chains = new Map<string, readonly X509Certificate[]>();
  const unread = new Map<string, Error>();
  for (const name of readdirSync(directory).sort()) {
    const path = join(directory, name);
    if (!/\.(crt|pem)$/.test(name) || statSync(path, { throwIfNoEntry: false })?.isDirectory()) continue;
    try {
      const chain = chainIn(path);
      if (chain.length > 0) chains.set(path, chain);
    } catch (error) {
      unread.set(path, error as Error);
    }
  }
  const sites = new Map<string, X509Certificate>();
  const authorities = new Map<string, string>();
  for (const [path, [own]] of chains) {
    const signed = [...chains].find(([, chain]) => chain.some((each) => hasSigned(own!, each)));
    if (signed === undefined) sites.set(path, own!);
    else authorities.set(path, signed[0]);
  }
  if (chains.size + unread.size > 0) return { sites, unread, authorities };
  throw new UsageError(`--site ${JSON.stringify(directory)} holds no certificate (*.crt, *.pem).`, HINT);
}

function sitesAt(path: string): Sites {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) return sitesOf(path);
  return { sites: new Map([[path, siteCertificate(path)]]), unread: new Map(), authorities: new Map() };
}

/** @param paths of files, and of directories. @throws UsageError if one holds no certificate */
export function sitesFrom(paths: readonly string[]): Sites {
  const found = paths.map(sitesAt);
  return {
    sites: new Map(found.flatMap(({ sites }) => [...sites])),
    unread: new Map(found.flatMap(({ unread }) => [...unread])),
    authorities: new Map(found.flatMap(({ authorities }) => [...authorities])),
  };
}

/** A key server in a process of its own, with certificates made for it: for the demo and the benchmark. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { KeylessError } from '../errors.ts';
import { CertificateAuthority, type KeyType } from './certificate-authority.ts';
import { watchStandstill } from './standstill.ts';

const LOOPBACK = '127.0.0.1';
const DAYS = 2;
const PRIVATE = { mode: 0o600 };

/** A private authority, and what a key server and an edge need; the keys of the sites are for the key server only. */
export interface Files<Site extends string = 'rsa' | 'ecdsa'> {
  readonly folder: string;
  readonly ca: string;
  /** PEM, in the order the sites were asked for. */
  readonly certs: Readonly<Record<Site, string>>;
  readonly edge: { readonly cert: string; readonly key: string };
}

/** @returns where the private key of a site is: a file of the key server's folder */
export function keyFile<Site extends string>({ folder }: Files<Site>, site: Site): string {
  return join(folder, 'keys', `${site}.key`);
}

function fill<Site extends string>(
  folder: string,
  sites: Readonly<Record<Site, KeyType>>,
): Omit<Files<Site>, 'folder'> {
  const authority = CertificateAuthority.make('keyless-tls demo', DAYS);
  const server = {
    commonName: 'localhost',
    dnsNames: ['localhost'],
    ipv4Addresses: [LOOPBACK],
    usage: 'server',
    days: DAYS,
  } as const;
  const keyServer = authority.issue({ ...server, commonName: 'key server', keyType: 'ec' });
  const edge = authority.issue({ commonName: 'edge', usage: 'client', keyType: 'ec', days: DAYS });
  mkdirSync(join(folder, 'keys'), { mode: 0o700 });
  const certs = {} as Record<Site, string>;
  for (const [site, keyType] of Object.entries(sites) as [Site, KeyType][]) {
    const { certPem, keyPem } = authority.issue({ ...server, keyType });
    certs[site] = certPem;
    writeFileSync(join(folder, 'keys', `${site}.key`), keyPem, PRIVATE);
  }
  writeFileSync(join(folder, 'ca.crt'), authority.certPem);
  writeFileSync(join(folder, 'server.crt'), keyServer.certPem);
  writeFileSync(join(folder, 'server.pem'), keyServer.keyPem, PRIVATE);
  return { ca: authority.certPem, certs, edge: { cert: edge.certPem, key: edge.keyPem } };
}

/**
 * Keys go to the key server's folder and nowhere else; the edge gets certificates only.
 *
 * @param sites kind of the key of each site's certificate, all of them for localhost
 * @throws what the system says, for example that the disk is full: nothing is left behind then
 */
export function makeFiles<Site extends string>(sites: Readonly<Record<Site, KeyType>>): Files<Site> {
  const folder = mkdtempSync(join(tmpdir(), 'keyless-tls-demo-'));
  try {
    chmodSync(folder, 0o700);
    return { folder, ...fill(folder, sites) };
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

/** Those of the demo. */
export const DEMO_SITES = { rsa: 'rsa', ecdsa: 'ec' } as const;

export interface KeyServerProcess {
  readonly child: ChildProcess;
  readonly port: number;
  /** How: its signal or exit code, and what it said last. */
  readonly ended: Promise<string>;
}

/** Its secrets are in files that only this user may read: none is in its arguments or its environment. */
function spawnKeyServer(folder: string, env: NodeJS.ProcessEnv): ChildProcess {
  const main = fileURLToPath(new URL('./main.js', import.meta.url));
  const path = (name: string) => join(folder, name);
  const tls = ['--cert', path('server.crt'), '--key', path('server.pem'), '--ca', path('ca.crt')];
  const listen = ['--keys', path('keys'), '--listen', `${LOOPBACK}:0`, '--quiet'];
  return spawn(process.execPath, [main, 'serve', ...tls, ...listen], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    env,
  });
}

/** @param said what it said last; empty: nothing */
async function howItEnds(child: ChildProcess, said: () => string): Promise<string> {
  const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  const how = signal ?? `exit code ${code}`;
  return said() === '' ? how : `${how}: ${said()}`;
}

/** @param files of {@link makeFiles}; @param env of the process; @param over ends it while it is being started, at once */
export async function startKeyServer(
  { folder }: Pick<Files, 'folder'>,
  env: NodeJS.ProcessEnv = process.env,
  over?: AbortSignal,
): Promise<KeyServerProcess> {
  const child = spawnKeyServer(folder, env);
  const end = () => void child.kill('SIGKILL');
  over?.addEventListener('abort', end, { once: true });
  let [said, stillness]: [string, string | undefined] = ['', undefined];
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said = text.trim();
  });
  const ended = howItEnds(child, () => said).then((how) => stillness ?? how);
  const started = once(child, 'message') as Promise<[{ port: number }]>;
  const heard = watchStandstill(0, (seconds) => {
    stillness = `it stands still, for ${seconds} s`;
    end();
  });
  const first = await Promise.race([started, ended]).finally(() => {
    heard();
    over?.removeEventListener('abort', end);
  });
  if (typeof first === 'string') {
    throw new KeylessError('ERR_KEYLESS_NO_KEY_SERVER', `The key server did not start: ${first}`);
  }
  return { child, port: first[0].port, ended };
}

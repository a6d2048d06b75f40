/** A folder as `keyless-tls serve` wants it, and the key server as a process. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectKeyServers, type KeyServers, type KeyServersOptions } from '../../lib/keys/key-servers.ts';
import { type Authority, type Issued, makeAuthority } from './certificates.ts';
import { type Program, startCommand } from './programs.ts';

const PRIVATE = { mode: 0o600 };

/** The certificates of both sides of mutual TLS, and a folder with those of the key server. */
export interface ServeFolder {
  readonly path: (...names: string[]) => string;
  readonly authority: Authority;
  readonly server: Issued;
  readonly edge: Issued;
  /** `--cert`, `--key`, `--ca` and `--keys`, with their values. */
  readonly options: readonly string[];
  remove(): Promise<void>;
}

/** @param keys the sites' private keys, by file name without `.key` */
export async function makeServeFolder(keys: Readonly<Record<string, string>>): Promise<ServeFolder> {
  const folder = await mkdtemp(join(tmpdir(), 'keyless-tls-serve-'));
  const path = (...names: string[]) => join(folder, ...names);
  const authority = await makeAuthority('Key servers');
  const [server, edge] = await Promise.all([
    authority.issue({ type: 'p256', usage: 'server' }),
    authority.issue({ type: 'p256', usage: 'client', cn: 'edge' }),
  ]);
  await mkdir(path('keys'), { mode: 0o700 });
  await writeFile(path('ca.crt'), authority.certPem);
  await writeFile(path('server.crt'), server.certPem);
  await writeFile(path('server.pem'), server.keyPem, PRIVATE);
  for (const [name, pem] of Object.entries(keys)) await writeFile(path('keys', `${name}.key`), pem, PRIVATE);
  const identity = ['--cert', path('server.crt'), '--key', path('server.pem'), '--ca', path('ca.crt')];
  return {
    path,
    authority,
    server,
    edge,
    options: [...identity, '--keys', path('keys')],
    remove: () => rm(folder, { recursive: true }),
  };
}

/** A key server that listens. */
export interface KeyServerProcess {
  readonly program: Program;
  readonly port: number;
  /** A PrivateKey of all its keys, as the edge, over one connection; the caller closes it. */
  connect(options?: Partial<KeyServersOptions>): Promise<KeyServers>;
}

/** @param values more options of `serve`, for example `--allow-digest` */
export async function startKeyServer(
  { options, edge, authority }: ServeFolder,
  values: readonly string[] = [],
): Promise<KeyServerProcess> {
  const program = startCommand(['serve', ...options, '--listen', '127.0.0.1:0', ...values]);
  const [, digits] = await program.prints(/listening.*\bport\W+(\d+)/);
  const port = Number(digits);
  const connect = async (more: Partial<KeyServersOptions> = {}) => {
    const credentials = { cert: edge.certPem, key: edge.keyPem, ca: authority.certPem };
    const servers = [`127.0.0.1:${port}`];
    const keys = connectKeyServers({ servers, connectionsPerServer: 1, ...credentials, ...more });
    await keys.ready();
    return keys;
  };
  return { program, port, connect };
}

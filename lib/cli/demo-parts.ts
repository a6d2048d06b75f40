/** The parts of the demo: a folder of certificates, the key server's process, the HTTPS edge. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import type { Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { KeylessError } from '../errors.ts';
import { createServer } from '../https.ts';
import { connectKeyServers, type KeyServers } from '../keys/key-servers.ts';
import { CertificateAuthority } from './certificate-authority.ts';
import { demoPage } from './demo-page.ts';

/** A running demo. */
export interface Demo {
  readonly port: number;
  /** The authority of the edge's certificates, PEM, and the file that holds it. */
  readonly ca: string;
  readonly caFile: string;
  readonly keyServerPid: number;
  /** Settles when the key server's process has ended. */
  readonly keyServerEnded: Promise<void>;
  /** What the key server said last, if it ended on its own. */
  keyServerProblem(): string | undefined;
  /** Ends everything and removes the folder. */
  close(): Promise<void>;
}

const HOST = '127.0.0.1';
const DAYS = 2;
const PRIVATE = { mode: 0o600 };

interface Files {
  readonly folder: string;
  readonly ca: string;
  readonly certs: readonly string[];
  readonly edge: { readonly cert: string; readonly key: string };
}

/** Keys go to the key server's folder and nowhere else; the edge gets certificates only. */
function makeFiles(): Files {
  const folder = mkdtempSync(join(tmpdir(), 'keyless-tls-demo-'));
  chmodSync(folder, 0o700);
  const authority = new CertificateAuthority('keyless-tls demo', DAYS);
  const site = {
    commonName: 'localhost',
    dnsNames: ['localhost'],
    ipv4Addresses: [HOST],
    usage: 'server',
    days: DAYS,
  } as const;
  const rsa = authority.issue({ ...site, keyType: 'rsa' });
  const ecdsa = authority.issue({ ...site, keyType: 'ec' });
  const keyServer = authority.issue({ ...site, commonName: 'key server', keyType: 'ec' });
  const edge = authority.issue({ commonName: 'edge', usage: 'client', keyType: 'ec', days: DAYS });
  mkdirSync(join(folder, 'keys'), { mode: 0o700 });
  writeFileSync(join(folder, 'keys', 'rsa.key'), rsa.keyPem, PRIVATE);
  writeFileSync(join(folder, 'keys', 'ecdsa.key'), ecdsa.keyPem, PRIVATE);
  writeFileSync(join(folder, 'ca.crt'), authority.certPem);
  writeFileSync(join(folder, 'server.crt'), keyServer.certPem);
  writeFileSync(join(folder, 'server.pem'), keyServer.keyPem, PRIVATE);
  return {
    folder,
    ca: authority.certPem,
    certs: [rsa.certPem, ecdsa.certPem],
    edge: { cert: edge.certPem, key: edge.keyPem },
  };
}

interface KeyServerProcess {
  readonly child: ChildProcess;
  readonly port: number;
  readonly ended: Promise<void>;
  problem(): string | undefined;
}

async function startKeyServer({ folder }: Files): Promise<KeyServerProcess> {
  const path = (name: string) => join(folder, name);
  const files = [
    '--cert',
    path('server.crt'),
    '--tls-key',
    path('server.pem'),
    '--ca',
    path('ca.crt'),
    '--keys',
    path('keys'),
  ];
  const main = fileURLToPath(new URL('./main.js', import.meta.url));
  const child = spawn(process.execPath, [main, 'serve', ...files, '--listen', `${HOST}:0`, '--quiet'], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let problem: string | undefined;
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (problem = text.trim()));
  const ended = once(child, 'exit').then(() => {});
  const started = once(child, 'message') as Promise<[{ port: number }]>;
  const first = await Promise.race([started, ended]);
  if (first === undefined) {
    throw new KeylessError(
      'ERR_KEYLESS_NO_KEY_SERVER',
      `The demo's key server did not start: ${problem ?? 'it said nothing'}`,
    );
  }
  return { child, port: first[0].port, ended, problem: () => problem };
}

async function startEdge(
  files: Files,
  keys: KeyServers,
  port: number,
  onRequest: RequestListener,
): Promise<Server> {
  const server = createServer({ cert: [...files.certs], key: keys }, onRequest);
  server.listen(port, HOST);
  await Promise.race([
    once(server, 'listening'),
    once(server, 'error').then(([error]) => {
      throw error;
    }),
  ]);
  return server;
}

/** @param port of the edge, 0: any free one */
export async function startDemo(port: number): Promise<Demo> {
  const files = makeFiles();
  let keyServer: KeyServerProcess | undefined;
  let keys: KeyServers | undefined;
  let edge: Server | undefined;
  const close = async () => {
    edge?.closeAllConnections();
    edge?.close();
    keys?.close();
    if (keyServer !== undefined && keyServer.child.exitCode === null) {
      keyServer.child.kill('SIGTERM');
      await keyServer.ended;
    }
    rmSync(files.folder, { recursive: true, force: true });
  };
  try {
    keyServer = await startKeyServer(files);
    keys = connectKeyServers({ servers: [`${HOST}:${keyServer.port}`], ...files.edge, ca: files.ca });
    const page = demoPage();
    edge = await startEdge(files, keys, port, page);
    return {
      port: (edge.address() as AddressInfo).port,
      ca: files.ca,
      caFile: join(files.folder, 'ca.crt'),
      keyServerPid: keyServer.child.pid ?? 0,
      keyServerEnded: keyServer.ended,
      keyServerProblem: keyServer.problem,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The parts of the demo: a folder of certificates, the key server's process, the HTTPS edge. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
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
  /** Resolves when the key server's process has ended, with what it said last. */
  readonly keyServerEnded: Promise<string>;
  /** Ends everything and removes the folder. */
  close(): Promise<void>;
}

const LOOPBACK = '127.0.0.1';
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
  const authority = CertificateAuthority.make('keyless-tls demo', DAYS);
  const site = {
    commonName: 'localhost',
    dnsNames: ['localhost'],
    ipv4Addresses: [LOOPBACK],
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
  readonly ended: Promise<string>;
}

/** Its secrets are in files that only this user may read: none is in its arguments or its environment. */
function spawnKeyServer({ folder }: Files): ChildProcess {
  const main = fileURLToPath(new URL('./main.js', import.meta.url));
  const path = (name: string) => join(folder, name);
  const tls = ['--cert', path('server.crt'), '--key', path('server.pem'), '--ca', path('ca.crt')];
  const listen = ['--keys', path('keys'), '--listen', `${LOOPBACK}:0`, '--quiet'];
  return spawn(process.execPath, [main, 'serve', ...tls, ...listen], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
}

async function startKeyServer(files: Files): Promise<KeyServerProcess> {
  const child = spawnKeyServer(files);
  let said = 'it said nothing';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said = text.trim();
  });
  const ended = once(child, 'exit').then(() => said);
  const started = once(child, 'message') as Promise<[{ port: number }]>;
  const first = await Promise.race([started, ended]);
  if (typeof first === 'string') {
    throw new KeylessError('ERR_KEYLESS_NO_KEY_SERVER', `The demo's key server did not start: ${first}`);
  }
  return { child, port: first[0].port, ended };
}

async function startEdge(server: Server, port: number, host: string): Promise<void> {
  server.listen(port, host);
  await once(server, 'listening'); // rejects with the error, if that comes first
}

interface Running {
  keyServer?: KeyServerProcess;
  keys?: KeyServers;
  edge?: Server;
}

async function end(files: Files, { keyServer, keys, edge }: Running): Promise<void> {
  edge?.close();
  edge?.closeAllConnections();
  keys?.close();
  if (keyServer !== undefined) {
    keyServer.child.kill('SIGTERM');
    await keyServer.ended;
  }
  rmSync(files.folder, { recursive: true, force: true });
}

/** @param port of the edge, 0: any free one; @param host address it listens on */
export async function startDemo(port: number, host: string): Promise<Demo> {
  const files = makeFiles();
  const running: Running = {};
  try {
    const keyServer = await startKeyServer(files);
    running.keyServer = keyServer;
    const servers = [`${LOOPBACK}:${keyServer.port}`];
    const keys = connectKeyServers({ servers, ...files.edge, ca: files.ca });
    running.keys = keys;
    await keys.ready();
    const edge = createServer({ cert: [...files.certs], key: keys }, demoPage());
    running.edge = edge;
    await startEdge(edge, port, host);
    return {
      port: (edge.address() as AddressInfo).port,
      ca: files.ca,
      caFile: join(files.folder, 'ca.crt'),
      keyServerPid: keyServer.child.pid ?? 0,
      keyServerEnded: keyServer.ended,
      close: () => end(files, running),
    };
  } catch (error) {
    await end(files, running);
    throw error;
  }
}

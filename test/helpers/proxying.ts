/** `keyless-tls proxy` as a process, with a folder of hosts made for it, and backends in this process. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { type EventEmitter, once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo, Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';
import { type Authority, type Issued, makeAuthority } from './certificates.ts';
import { ServeProcess } from './serve-process.ts';

const OWNER_ONLY = { mode: 0o600 };

export class HostsFolder {
  readonly path: string;
  readonly authority: Authority;

  private constructor(authority: Authority) {
    this.authority = authority;
    this.path = mkdtempSync(join(tmpdir(), 'keyless-tls-proxy-'));
    mkdirSync(this.hosts);
    writeFileSync(this.file('ca.crt'), authority.certPem);
  }

  static async make(): Promise<HostsFolder> {
    return new HostsFolder(await makeAuthority());
  }

  get hosts(): string {
    return this.file('hosts');
  }

  file(name: string): string {
    return join(this.path, name);
  }

  put(label: string, { certPem, keyPem }: Pick<Issued, 'certPem' | 'keyPem'>): void {
    writeFileSync(join(this.hosts, `${label}.crt`), certPem);
    writeFileSync(join(this.hosts, `${label}.key`), keyPem, OWNER_ONLY);
    chmodSync(join(this.hosts, `${label}.key`), 0o600);
  }

  /** A host with a certificate for names. */
  async add(label: string, dns: readonly string[], type: 'p256' | 'rsa' = 'p256'): Promise<Issued> {
    const issued = await this.authority.issue({ type, dns });
    this.put(label, issued);
    return issued;
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

export class ProxyProcess extends ServeProcess {
  constructor(folder: HostsFolder, args: readonly string[], env?: NodeJS.ProcessEnv, openFiles?: number) {
    const limits = openFiles === undefined ? undefined : `ulimit -n ${openFiles}`;
    super(['--hosts', folder.hosts, '--listen', '127.0.0.1:0', ...args], 'proxy', env, limits);
  }

  /** @returns the exit code */
  end(): Promise<number | NodeJS.Signals> {
    this.child.kill('SIGTERM');
    return this.ended;
  }
}

/** Listens on a free port. @returns it */
export async function portOf(server: EventEmitter & Pick<Server, 'listen' | 'address'>): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** A proxy in front of a backend of this process. */
export interface ProxiedBackend {
  readonly folder: HostsFolder;
  readonly proxy: ProxyProcess;
  readonly port: number;
  /** Of both. @throws where the proxy ends with a failure */
  end(): Promise<void>;
}

/** @param backend is made to listen, over plain TCP or HTTP/1.1; @param hosts names by label */
export async function proxied(
  backend: Server & { closeAllConnections?(): void },
  args: readonly string[] = [],
  hosts: Readonly<Record<string, string>> = { www: 'localhost' },
): Promise<ProxiedBackend> {
  const folder = await HostsFolder.make();
  for (const [label, name] of Object.entries(hosts)) await folder.add(label, [name]);
  const proxy = new ProxyProcess(folder, ['--backend', `http://127.0.0.1:${await portOf(backend)}`, ...args]);
  const end = async () => {
    assert.equal(await proxy.end(), 0);
    backend.closeAllConnections?.();
    backend.close();
    folder.remove();
  };
  return { folder, proxy, port: await proxy.port(), end };
}

/** The certificate's fingerprint, or the code of the error. */
export function visit(
  port: number,
  servername: string,
  options: tls.ConnectionOptions = {},
): Promise<string> {
  return new Promise((resolve) => {
    const socket = tls.connect({
      port,
      host: '127.0.0.1',
      servername,
      rejectUnauthorized: false,
      ...options,
    });
    socket.on('secureConnect', () => {
      resolve(socket.getPeerCertificate().fingerprint256);
      socket.end();
    });
    socket.on('error', ({ code }: NodeJS.ErrnoException) => resolve(String(code)));
  });
}

export function fingerprint(certPem: string): string {
  return new X509Certificate(certPem).fingerprint256;
}

/** Has the work done with a proxy in front of a backend, which ends without a failure. @param url of the backend */
export async function inFrontOf(
  url: string,
  folder: HostsFolder,
  args: readonly string[],
  work: (port: number, proxy: ProxyProcess) => Promise<void>,
): Promise<void> {
  const proxy = new ProxyProcess(folder, ['--backend', url, ...args]);
  try {
    await work(await proxy.port(), proxy);
  } finally {
    assert.equal(await proxy.end(), 0, proxy.stderr);
  }
}

/** A keyless HTTPS edge for peers that are not Node.js: its keys are behind a real `keyless-tls serve` process. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { IncomingMessage, RequestListener } from 'node:http';
import type { ServerHttp2Stream } from 'node:http2';
import type { Server } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SecureVersion, TLSSocket } from 'node:tls';
import type { OperationEnded } from '../../lib/engine/channels.ts';
import { createSecureServer } from '../../lib/http2.ts';
import { createServer } from '../../lib/https.ts';
import type { KeyServers } from '../../lib/keys/key-servers.ts';
import type { TlsOptions } from '../../lib/tls.ts';
import { type Authority, type Issued, makeAuthority } from '../helpers/certificates.ts';
import { close, listen } from '../helpers/connections.ts';
import { makeServeFolder, type ServeFolder, startKeyServer } from '../helpers/key-server-process.ts';
import type { Program } from '../helpers/programs.ts';

export const VERSIONS: readonly SecureVersion[] = ['TLSv1.2', 'TLSv1.3'];
export const SITES = ['rsa', 'p256', 'ed25519'] as const;
export type Site = (typeof SITES)[number];

/** What each key signs with, unless the client wants otherwise. */
export const SCHEMES: Readonly<Record<Site, string>> = {
  rsa: 'rsa_pss_rsae_sha256',
  p256: 'ecdsa_secp256r1_sha256',
  ed25519: 'ed25519',
};

/** What a page of the edge says: how its reader came. */
export interface Page {
  readonly protocol: string;
  readonly cipher: string;
  readonly resumed: boolean;
  readonly alpn: string | false;
  readonly httpVersion: string;
  /** The common name of the client's certificate; `null`: none that was accepted. */
  readonly client: string | null;
}

function pageOf(socket: TLSSocket, httpVersion: string): Page {
  return {
    protocol: socket.getProtocol() ?? '',
    cipher: socket.getCipher().name,
    resumed: socket.isSessionReused(),
    alpn: socket.alpnProtocol as string | false,
    httpVersion,
    client: socket.authorized ? String(socket.getPeerCertificate().subject.CN) : null,
  };
}

function socketOf(request: IncomingMessage): TLSSocket {
  const { stream } = request as unknown as { stream?: ServerHttp2Stream };
  return (stream?.session?.socket ?? request.socket) as TLSSocket;
}

const tellConnection: RequestListener = (request, response) => {
  if (request.httpVersionMajor === 1) response.setHeader('Connection', 'close');
  response.end(`${JSON.stringify(pageOf(socketOf(request), request.httpVersion))}\n`);
};

/** What peers need as files, and the edge's parts. */
export class Edge {
  readonly sites: Readonly<Record<Site, Issued>>;
  readonly client: Issued;
  readonly authority: Authority;
  readonly keys: KeyServers;
  /** Of the kinds of operations since the last {@link Edge.take}: scheme, or `decrypt`. */
  readonly #operations: string[] = [];
  readonly #servers: Server[] = [];
  readonly #folder: ServeFolder;
  readonly #keyServer: Program;
  readonly #path: string;

  private constructor(parts: {
    sites: Readonly<Record<Site, Issued>>;
    client: Issued;
    authority: Authority;
    keys: KeyServers;
    folder: ServeFolder;
    keyServer: Program;
    path: string;
  }) {
    this.sites = parts.sites;
    this.client = parts.client;
    this.authority = parts.authority;
    this.keys = parts.keys;
    this.#folder = parts.folder;
    this.#keyServer = parts.keyServer;
    this.#path = parts.path;
    subscribe('keyless-tls:operation:end', this.#note);
  }

  static async start(): Promise<Edge> {
    const authority = await makeAuthority();
    const [rsa, p256, ed25519, client] = await Promise.all([
      ...SITES.map((type) => authority.issue({ type, usage: 'both' })),
      authority.issue({ type: 'p256', usage: 'client', cn: 'visitor' }),
    ]);
    const sites = { rsa: rsa!, p256: p256!, ed25519: ed25519! };
    const folder = await makeServeFolder({
      rsa: sites.rsa.keyPem,
      p256: sites.p256.keyPem,
      ed25519: sites.ed25519.keyPem,
    });
    const { program, connect } = await startKeyServer(folder, [
      '--allow-decrypt',
      'rsa.key',
      '--allow-client',
    ]);
    const path = await mkdtemp(join(tmpdir(), 'keyless-tls-interop-'));
    await writeFile(join(path, 'ca.crt'), authority.certPem);
    await writeFile(join(path, 'client.crt'), client!.certPem);
    await writeFile(join(path, 'client.key'), client!.keyPem, { mode: 0o600 });
    await writeFile(join(path, 'server.crt'), sites.p256.certPem);
    await writeFile(join(path, 'server.key'), sites.p256.keyPem, { mode: 0o600 });
    const keys = await connect();
    return new Edge({ sites, client: client!, authority, keys, folder, keyServer: program, path });
  }

  /** `ca.crt`, `client.crt` and `.key`, `server.crt` and `.key` (a server with its key, to be visited), or a new file. */
  file(name: string): string {
    return join(this.#path, name);
  }

  /** Serves, by default a page that tells what the connection is; forgets the operations so far. @returns the port */
  async serve(site: Site, options: TlsOptions = {}, listener = tellConnection): Promise<number> {
    this.take();
    const server = createServer({ cert: this.sites[site].certPem, key: this.keys, ...options }, listener);
    this.#servers.push(server);
    return listen(server);
  }

  /** The same over HTTP/2 for those who speak it. */
  async serveHttp2(site: Site, listener = tellConnection): Promise<number> {
    this.take();
    const options = { cert: this.sites[site].certPem, key: this.keys, allowHTTP1: true };
    // Node's types know no listener for both, its compatibility layer is for nothing else.
    const server = createSecureServer(options, listener as never);
    this.#servers.push(server as unknown as Server);
    return listen(server);
  }

  /** The operations since it was last asked. */
  take(): string[] {
    return this.#operations.splice(0);
  }

  async end(): Promise<void> {
    unsubscribe('keyless-tls:operation:end', this.#note);
    await Promise.all(this.#servers.map(close));
    this.keys.close();
    await this.#keyServer.end();
    await this.#folder.remove();
    await rm(this.#path, { recursive: true });
  }

  readonly #note = (message: unknown): void => {
    const { operation, error } = message as OperationEnded;
    const name = operation.kind === 'sign' ? operation.scheme : operation.kind;
    this.#operations.push(error === undefined ? name : `${name} ${error.code}`);
  };
}

/** The page in what a client printed. */
export function pageIn(text: string): Page {
  const [json] = /^{"protocol".*}$/m.exec(text) ?? [];
  if (json === undefined) throw new Error(`There is no page in:\n${text}`);
  return JSON.parse(json) as Page;
}

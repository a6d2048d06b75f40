/**
 * Folders in which apps find their keys and certificates, in the three ways of running them: natively, under register
 * (stubs, and a key server process), and under isolate.
 */
import { X509Certificate } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { makeStub } from '../../lib/wrap/stub.ts';
import { type KeyServerSetup, makeKeyServers, type Site } from './key-servers.ts';
import { type Program, type ProgramOptions, start } from './programs.ts';
import { type ServeFiles, ServeProcess, serveFiles } from './serve-process.ts';

export type Way = 'natively' | 'register' | 'isolate';
export const WAYS: readonly Way[] = ['natively', 'register', 'isolate'];

const APPS = fileURLToPath(new URL('../../../examples/apps/', import.meta.url));
const OWNER_ONLY = { mode: 0o600 };

function moduleOf(way: Way): readonly string[] {
  return way === 'natively' ? [] : ['--import', new URL(`../../lib/wrap/${way}.js`, import.meta.url).href];
}

export class AppFolders {
  readonly setup: KeyServerSetup;
  readonly #files: ServeFiles;
  readonly #serve: ServeProcess;

  private constructor(setup: KeyServerSetup, files: ServeFiles, serve: ServeProcess) {
    this.setup = setup;
    this.#files = files;
    this.#serve = serve;
  }

  static async make(): Promise<AppFolders> {
    const setup = await makeKeyServers(['p256', 'rsa']);
    const files = serveFiles(setup);
    const serve = new ServeProcess([...files.args, '--allow-client']);
    const folders = new AppFolders(setup, files, serve);
    const port = await serve.port();
    for (const way of WAYS) folders.#fill(way, port);
    return folders;
  }

  folder(way: Way): string {
    return this.#files.path(way);
  }

  /** Runs one of examples/apps in its folder. */
  run(way: Way, app: string, values: readonly string[] = [], options: ProgramOptions = {}): Program {
    const env = { ...process.env, PORT: '0', ...options.env };
    const args = [...moduleOf(way), `${APPS}${app}`, ...values];
    return start(process.execPath, args, { ...options, cwd: this.folder(way), env });
  }

  /** Signatures that the key server was asked for. */
  signatures(): number {
    return this.#serve.events.filter(({ event, kind }) => event === 'operation' && kind === 'sign').length;
  }

  async end(): Promise<void> {
    this.#serve.child.kill('SIGTERM');
    await this.#serve.ended;
    this.#files.remove();
  }

  #fill(way: Way, port: number): void {
    const path = (name: string) => `${this.folder(way)}/${name}`;
    const { sites, edge, authority } = this.setup;
    mkdirSync(path('site'), { recursive: true });
    writeFileSync(path('site/index.html'), '<!doctype html><title>site</title><h1>hello from Vite</h1>\n');
    writeFileSync(path('ca.crt'), authority.certPem);
    const keyOf = ({ certPem, keyPem }: Site) =>
      way === 'register' ? makeStub(new X509Certificate(certPem)) : keyPem;
    for (const [name, site] of [
      ['server', sites.p256!],
      ['client', sites.rsa!],
    ] as const) {
      writeFileSync(path(`${name}.crt`), site.certPem);
      writeFileSync(path(`${name}.key`), keyOf(site), OWNER_ONLY);
    }
    writeFileSync(path('edge.crt'), edge.certPem);
    writeFileSync(path('edge.key'), edge.keyPem, OWNER_ONLY);
    const credentials = { cert: 'edge.crt', key: 'edge.key', ca: 'ca.crt' };
    const config = { version: 1, servers: [`127.0.0.1:${port}`], servername: 'localhost', ...credentials };
    if (way === 'register') writeFileSync(path('keyless-tls.json'), JSON.stringify(config));
  }
}

/** Processes of the proxies' bench: the proxy of this project, the one that anybody would write, and what is behind them. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import net, { type AddressInfo } from 'node:net';
import tls from 'node:tls';
import { fileURLToPath } from 'node:url';
import { type HostsFolder, ProxyProcess } from '../test/helpers/proxying.ts';
import { owned } from './children.ts';

const SELF = fileURLToPath(import.meta.url);
const CHUNK_BYTES = 65_536;

export interface Running {
  readonly child: ChildProcess;
}

export interface Terminator extends Running {
  readonly name: string;
  readonly pid: number;
  readonly port: number;
}

/** Forks a file of the bench in a role. @param what it is, in words; @returns it, and its first message */
export async function startRole<T>(
  file: string,
  role: string,
  what: string,
  plan: object,
): Promise<{ child: ChildProcess; told: T }> {
  const child = fork(file, [role], { stdio: 'inherit' });
  owned(child, what);
  child.send(plan);
  const [told] = (await once(child, 'message')) as [T];
  return { child, told };
}

export type BackendKind = 'flood' | 'quiet' | 'http';

/** `flood` sends for ever; `quiet` says nothing; `http` answers. */
export async function startBackend(kind: BackendKind): Promise<Running & { readonly port: number }> {
  const { child, told } = await startRole<number>(SELF, '--backend', 'The backend', { kind });
  return { child, port: told };
}

export async function startHandWritten(folder: HostsFolder, backend: number): Promise<Terminator> {
  const [cert, key] = ['crt', 'key'].map((end) => readFileSync(`${folder.hosts}/www.${end}`, 'utf8'));
  const plan = { cert, key, backend };
  const { child, told } = await startRole<number>(SELF, '--hand-written', 'The hand-written proxy', plan);
  return { name: 'hand-written', child, pid: child.pid!, port: told };
}

export async function startOwn(
  folder: HostsFolder,
  protocol: 'tcp' | 'http',
  backend: number,
): Promise<Terminator> {
  const limits = ['--max-connections', '20000', '--idle-timeout', '600000', '--quiet'];
  const proxy = new ProxyProcess(folder, ['--backend', `${protocol}://127.0.0.1:${backend}`, ...limits]);
  const [name, { child }] = ['keyless-tls proxy', proxy];
  owned(child, name, () => proxy.stderr);
  return { name, child, pid: child.pid!, port: await proxy.port() };
}

function tellPort(server: net.Server): void {
  server.listen(0, '127.0.0.1', 4096, () => process.send?.((server.address() as AddressInfo).port));
}

/** The proxy that anybody would write. */
function handWritten({ cert, key, backend }: { cert: string; key: string; backend: number }): void {
  const server = tls.createServer({ cert, key }, (socket) => {
    const out = net.connect(backend, '127.0.0.1');
    socket.pipe(out).pipe(socket);
    socket.on('error', () => out.destroy());
    out.on('error', () => socket.destroy());
  });
  tellPort(server);
}

function flood(socket: net.Socket): void {
  const chunk = Buffer.alloc(CHUNK_BYTES, 'x');
  const fill = () => {
    while (socket.writable && socket.write(chunk));
  };
  socket.on('drain', fill).on('error', () => undefined);
  fill();
}

function backend({ kind }: { kind: BackendKind }): void {
  if (kind === 'http') tellPort(http.createServer((_, response) => response.end('hello')));
  else
    tellPort(
      net.createServer(kind === 'flood' ? flood : (socket) => void socket.on('error', () => undefined)),
    );
}

const ROLES: Readonly<Record<string, (plan: never) => void>> = {
  '--hand-written': handWritten,
  '--backend': backend,
};

if (process.argv[1] === SELF) {
  process.once('disconnect', () => process.exit());
  process.once('message', (plan) => ROLES[process.argv[2]!]!(plan as never));
}

/** The edge that `keyless-tls bench` measures: a process of its own, with a TLS server for each certificate. */
import type { AddressInfo } from 'node:net';
import tls from 'node:tls';
import type { VerifyPolicy } from '../../index.ts';
import type { BareAsker } from './bare-asker.ts';
import type { EdgeKeys } from './edge-keys.ts';

/** Where the sites' keys are: here; on the key server; here, behind a callback; here, and the key server is sent a ping for each handshake. */
export type EdgeMode = 'native' | 'remote' | 'local' | 'pinging';

export interface EdgeSite {
  /** PEM. */
  readonly cert: string;
  /** PEM; of native, local and pinging edges only. */
  readonly key?: string | undefined;
}

/** How an edge asks its key server; what is not said is as by default. */
export interface Asking {
  readonly connections?: number;
  /** For one operation. */
  readonly timeoutMs?: number;
}

export interface EdgePlan {
  readonly mode: EdgeMode;
  readonly sites: Readonly<Record<string, EdgeSite>>;
  /** Of remote and pinging edges. */
  readonly keyServer?: Asking & {
    readonly port: number;
    readonly cert: string;
    readonly key: string;
    readonly ca: string;
  };
  /** Of local edges; `undefined`: as by default. */
  readonly verify?: VerifyPolicy | undefined;
}

/** What it answers to its plan: the port of each site. */
export type EdgePorts = Readonly<Record<string, number>>;

/** What it answers instead, where it cannot do what it was told: why. */
export interface NotStarted {
  readonly failed: string;
}

export interface EdgeRequest {
  /** `burn`: milliseconds of CPU to waste for each handshake from now on. */
  readonly burnMs?: number;
  /** Whether the garbage is collected first; needs `--expose-gc`. */
  readonly collect?: boolean;
}

/** Since the start. */
export interface EdgeFigures {
  /** By rusage. */
  readonly cpuMs: number;
  readonly handshakes: number;
  readonly resumed: number;
  /** Signatures asked for, or pings; of native edges, none can be counted: 0. */
  readonly operations: number;
  /** Handshakes that wait for one at this moment. */
  readonly paused: number;
  /** Connections that are open at this moment. */
  readonly connections: number;
  readonly residentBytes: number;
  /** Times that the garbage was collected because it was asked for. */
  readonly collections: number;
}

const counts = { handshakes: 0, resumed: 0, connections: 0, collections: 0 };
let wastedMs = 0;
let asker: BareAsker | undefined;

function ownCpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** CPU time, not time: on a busy machine they differ. */
function burn(ms: number): void {
  const end = ownCpuMs() + ms;
  while (ownCpuMs() < end);
}

const CHUNK = Buffer.alloc(65_536, 'x');

/** @param bytes a multiple of 65,536, or the rest is left out */
function send(socket: tls.TLSSocket, bytes: number): void {
  let left = Math.floor(bytes / CHUNK.length);
  const fill = () => {
    while (left > 0) {
      left -= 1;
      if (!socket.write(CHUNK)) return;
    }
    socket.off('drain', fill).end();
  };
  socket.on('drain', fill);
  fill();
}

/** A client sends `x` and gets `y`, or a number and gets as many bytes. */
function onSocket(socket: tls.TLSSocket): void {
  counts.handshakes += 1;
  if (socket.isSessionReused()) counts.resumed += 1;
  socket.on('error', () => undefined);
  if (wastedMs > 0) burn(wastedMs);
  asker?.ask();
  // Ending here, before anything came, would suppress TLS 1.3's tickets, which a server sends in real life.
  socket.once('data', (data: Buffer) => {
    if (data[0] === 0x78) socket.end('y');
    else send(socket, Number(data.toString('latin1')));
  });
}

/** @returns its port */
function listen(server: tls.Server): Promise<number> {
  server.on('connection', (socket) => {
    counts.connections += 1;
    socket.on('close', () => (counts.connections -= 1));
  });
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', 8192, () => resolve((server.address() as AddressInfo).port));
  });
}

/** A native edge does not load the library: it is Node.js and nothing else. */
async function keysOf(plan: EdgePlan): Promise<EdgeKeys | undefined> {
  if (plan.mode === 'native' || plan.mode === 'pinging') return undefined;
  const { EdgeKeys } = await import('./edge-keys.ts');
  return EdgeKeys.open(plan);
}

async function askerOf({ mode, keyServer }: EdgePlan): Promise<BareAsker | undefined> {
  if (mode !== 'pinging' || keyServer === undefined) return undefined;
  const { BareAsker } = await import('./bare-asker.ts');
  return BareAsker.open(keyServer);
}

async function serve({ sites }: EdgePlan, keys: EdgeKeys | undefined): Promise<EdgePorts> {
  const ports: Record<string, number> = {};
  for (const [name, site] of Object.entries(sites)) {
    const server = keys?.createServer(site, onSocket) ?? tls.createServer({ ...site }, onSocket);
    ports[name] = await listen(server);
  }
  return ports;
}

/** @throws without `--expose-gc`: the process ends, and says so */
function collectGarbage(): void {
  if (globalThis.gc === undefined) throw new Error('An edge cannot collect its garbage without --expose-gc.');
  globalThis.gc();
  counts.collections += 1;
}

function figures(keys: EdgeKeys | undefined): EdgeFigures {
  return {
    ...counts,
    operations: keys?.operations ?? asker?.answered ?? 0,
    paused: keys?.paused ?? 0,
    residentBytes: process.memoryUsage.rss(),
    cpuMs: ownCpuMs(),
  };
}

async function start(plan: EdgePlan): Promise<void> {
  const keys = await keysOf(plan);
  asker = await askerOf(plan);
  process.send?.(await serve(plan, keys));
  process.on('message', ({ burnMs, collect }: EdgeRequest) => {
    if (burnMs !== undefined) wastedMs = burnMs;
    if (collect === true) collectGarbage();
    process.send?.(figures(keys));
  });
}

process.once('message', (plan: EdgePlan) =>
  start(plan).catch(({ message }: Error) => process.send?.({ failed: message } satisfies NotStarted)),
);
process.on('disconnect', () => process.exit());

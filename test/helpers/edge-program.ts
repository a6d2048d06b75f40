/**
 * A TLS server in a process of its own, with its key on key servers or, natively, in the process: driven by messages of
 * edge-process.ts, it says what it holds. Told to end, it closes as an app does, and its end is nobody's doing but Node's.
 */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import tls from 'node:tls';
import { configureEngine } from '../../lib/engine/admission.ts';
import { engineStats } from '../../lib/engine/stats.ts';
import { connectKeyServers, type KeyServersOptions } from '../../lib/keys/key-servers.ts';
import { createServer } from '../../lib/tls.ts';

export interface EdgePlan {
  readonly certPem: string;
  /** The key is in the process; `undefined`: with the key servers. */
  readonly keyPem?: string | undefined;
  readonly keyServers?: KeyServersOptions | undefined;
  readonly server?: tls.TlsOptions | undefined;
  readonly maxPausedHandshakes?: number | undefined;
}

/** What the process holds at this moment, after a garbage collection where it may collect. */
export interface EdgeState {
  /** What keeps an event loop alive: name and how many. */
  readonly resources: Readonly<Record<string, number>>;
  readonly handshakes: number;
  readonly paused: number;
  readonly connections: number;
  /** Handshakes that have ended, well and otherwise. */
  readonly served: number;
  readonly errors: Readonly<Record<string, number>>;
  /** Of the key servers together. */
  readonly ready: number;
  readonly failures: number;
  readonly waiting: number;
  readonly inFlight: number;
  readonly retried: number;
  readonly shed: number;
  /** Milliseconds that the loop was late at most since the last look. */
  readonly loopDelayMs: number;
}

const [plan] = (await once(process, 'message')) as [EdgePlan];
configureEngine({ maxPausedHandshakes: plan.maxPausedHandshakes });
const keys = plan.keyServers && connectKeyServers(plan.keyServers);
await keys?.ready();
const settings = { cert: plan.certPem, ...plan.server };
const server = keys
  ? createServer({ ...settings, key: keys })
  : tls.createServer({ ...settings, key: plan.keyPem });
const errors: Record<string, number> = {};
let served = 0;
server.on('secureConnection', (socket) => {
  served += 1;
  socket.on('error', () => undefined);
  socket.end('welcome');
});
server.on('tlsClientError', ({ code = 'none' }: NodeJS.ErrnoException, socket) => {
  errors[code] = (errors[code] ?? 0) + 1;
  socket.destroy();
});
const delay = monitorEventLoopDelay({ resolution: 1 });
delay.enable();

function resources(): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of process.getActiveResourcesInfo()) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}

function connections(): Promise<number> {
  return new Promise((resolve) => server.getConnections((_, count) => resolve(count)));
}

async function state(): Promise<EdgeState> {
  globalThis.gc?.();
  const loopDelayMs = delay.max / 1e6;
  delay.reset();
  const { servers = [], waiting = 0, retried = 0, shed = 0 } = keys?.stats() ?? {};
  const sum = (name: 'ready' | 'failures' | 'inFlight') =>
    servers.reduce((total, each) => total + each[name], 0);
  const { handshakes, paused } = engineStats();
  return {
    resources: resources(),
    ...{ handshakes, paused, connections: await connections(), served, errors: { ...errors } },
    ...{ ready: sum('ready'), failures: sum('failures'), inFlight: sum('inFlight') },
    ...{ waiting, retried, shed, loopDelayMs },
  };
}

server.listen(0, '127.0.0.1', 4096);
await once(server, 'listening');
process.on('message', async (message) => {
  if (message === 'state') {
    process.send?.(await state());
    return;
  }
  server.close(() => keys?.close());
  delay.disable();
  process.disconnect?.();
});
process.on('disconnect', () => {
  // Nobody is there any more who could tell it to end.
  if (server.listening) process.exit(1);
});
process.send?.((server.address() as AddressInfo).port);

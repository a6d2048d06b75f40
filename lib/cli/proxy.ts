/** `keyless-tls proxy`: a TLS terminator for any backend, whose keys are elsewhere. */
import cluster from 'node:cluster';
import { Registry } from 'prom-client';
import { edgeMetrics } from '../metrics.ts';
import type { ProxyEvents } from '../proxy/events.ts';
import { proxyMetrics } from '../proxy/metrics.ts';
import { TlsProxy } from '../proxy/tls-proxy.ts';
import { demandFiles, hasStub, tryBackendTls } from './backend-tls.ts';
import { type Command, endingSignal, explainListening, parseListen } from './command.ts';
import { eventLines, type Print, rounded } from './event-lines.ts';
import { startMetrics } from './metrics-page.ts';
import { tellOfFewFiles } from './open-files.ts';
import { filesOf } from './proxy-files.ts';
import { prepareStubs, type ServedHosts, serveHosts, usedKeyServers } from './proxy-hosts.ts';
import {
  type Backends,
  numberOf,
  type ProxyValues,
  parseBackends,
  parseProxy,
  parseTrusted,
  unknownNames,
} from './proxy-options.ts';
import { endTicketKeys, runWorkers, takeTicketKeys, workerEnding } from './proxy-workers.ts';
import { shareMetrics, workersMetrics } from './worker-metrics.ts';

const USAGE = `keyless-tls proxy: terminates TLS for any backend, with keys that are elsewhere

Usage: keyless-tls proxy --hosts FOLDER --backend [NAME=]URL [options]

  --hosts FOLDER        NAME.crt with NAME.key for each host, PEM: a stub ("keyless-tls stub"), signed for by the key servers of
                        keyless-tls.json or KEYLESS_TLS_*, or a private key. The names are those in the certificates
  --backend URL         where requests go: http://HOST:PORT, https://, h2c:// and h2:// (HTTP/2), or tcp:// and tls:// for bytes
                        of any protocol; NAME=URL for one host, by its file's name or one of its names. May be repeated
  --listen HOST:PORT    default 127.0.0.1:8443
  --default-host NAME   the file's name of the host for clients that send no name, or an unknown one; else they are refused
  --backend-ca FILE     the authority of backends over TLS; default: those Node.js trusts
  --backend-cert FILE, --backend-key FILE   a client certificate for them, and its key: a private key or a stub. These and
                        --backend-ca are read once, at the start, and by each of --workers
  --alpn NAME           a protocol of tcp:// and tls:// backends, the best first; default: whatever the client prefers
  --send-proxy          the PROXY protocol, version 2, towards tcp:// and tls:// backends
  --trust RANGE         neighbours (address or address/prefix) that must send it, and whose X-Forwarded-For is believed
  --isolate             private keys of the folder move into a process of their own (docs/isolate.md)
  --workers N           processes; default 1
  --metrics HOST:PORT   metrics for Prometheus over HTTP, at /metrics; a port alone: on the loopback
  --handshake-timeout MS, --backend-timeout MS, --idle-timeout MS, --drain-timeout MS
                        until TLS is through (10,000); for a backend to connect, answer and go on (30,000); for a client to go on
                        with a request or its answer, and of connections on which nothing moves (75,000); for what is under way
                        when it ends (30,000). What goes on takes as long as it likes
  --max-connections N   of each process; more are dropped; default 10,000. Each takes two open files (ulimit -n), and
                        requests over HTTP/2 to http:// and https:// a quarter as many more as this (docs/proxy.md)
  --json                one JSON object a line instead of text
  --quiet               do not print each request

The folder is watched: a change takes effect for new connections, also by SIGHUP; a host that cannot be used is told of, and what
it was before stays. SIGTERM and SIGINT end it when what is under way is done; exit code 0.

Example:
  keyless-tls proxy --hosts ./hosts --backend http://127.0.0.1:8080 --listen 0.0.0.0:443
`;

const LOOPBACK = '127.0.0.1';
/** Those who read it count on each line; the others tell of what any stranger can cause. */
const ACCESS_LOG: ReadonlySet<string> = new Set(['request', 'upgrade', 'stream']);

function eventsFor(values: ProxyValues, print: Print, observe: ProxyEvents['onRecord']): ProxyEvents {
  return {
    onUnknownHost: (name) => print('unknown-host', { name }),
    onRefused: (client, reason, { host, why }) => print('refused', { client, host, reason, why }),
    onProblem: (client, reason) => print('connection-problem', { client, reason }),
    onRecord(record) {
      observe(record);
      if (values.quiet) return;
      const { kind, durationMs, ...fields } = record;
      print(kind === 'tcp' ? 'stream' : kind === 'http' ? 'request' : 'upgrade', {
        ...fields,
        ms: rounded(durationMs, 1),
      });
    },
  };
}

interface CreatedProxy {
  readonly proxy: TlsProxy;
  readonly filesNeeded: number;
}

/** @throws UsageError; KeylessError: a key is on a key server, and no configuration says on which */
async function prepareBackends({ tls }: Backends): Promise<void> {
  if (hasStub(tls)) await prepareStubs();
  tryBackendTls(tls);
}

function createProxy(
  values: ProxyValues,
  backends: Backends,
  print: Print,
  observe: ProxyEvents['onRecord'],
): CreatedProxy {
  const maxConnections = numberOf(values, 'max-connections');
  const { stock: backendStock, needed: filesNeeded } = filesOf(maxConnections, backends.all);
  const proxy = new TlsProxy({
    backendOf: (host) => backends.of(host),
    ...{ maxConnections, backendStock },
    defaultHost: values['default-host'],
    alpn: values.alpn,
    sendProxyHeader: values['send-proxy'],
    trusted: parseTrusted(values.trust),
    handshakeTimeoutMs: numberOf(values, 'handshake-timeout'),
    backendTimeoutMs: numberOf(values, 'backend-timeout'),
    idleTimeoutMs: numberOf(values, 'idle-timeout'),
    onOwnTicketKeys: cluster.isWorker ? endTicketKeys : undefined,
    events: eventsFor(values, print, observe),
  });
  return { proxy, filesNeeded };
}

/** The metrics of workers are collected by the first process. */
async function startOwnMetrics(values: ProxyValues, registry: Registry, print: Print): Promise<() => void> {
  if (values.metrics === undefined || cluster.isWorker) return () => undefined;
  const source = {
    render: () => registry.metrics(),
    contentType: registry.contentType,
    close: () => undefined,
  };
  return startMetrics('proxy', values.metrics, source, print);
}

/** @returns adds those of the key servers, once there are any: a first stub may come at any time */
function keyServerMetrics(registry: Registry): () => void {
  let isAdded = false;
  return () => {
    const keys = usedKeyServers();
    if (isAdded || keys === undefined) return;
    isAdded = true;
    edgeMetrics(keys, registry);
  };
}

async function listen(proxy: TlsProxy, text: string, print: Print): Promise<void> {
  const { host, port } = parseListen('proxy', text, LOOPBACK);
  try {
    print('listening', { address: host, port: await proxy.listen(port, host) });
  } catch (error) {
    throw explainListening(error, `${host}:${port}`, '--listen');
  }
}

/** Of what isolate warns of: the keys that no process has any more. */
interface KeysWarning extends Error {
  readonly code?: string;
  readonly lostKeys?: number;
}

function restoreKeys(hosts: ServedHosts, { tls }: Backends): void {
  process.on('warning', ({ code, lostKeys = 0 }: KeysWarning) => {
    if (code !== 'KEYLESS_KEY_PROCESS_ENDED' || lostKeys === 0) return;
    hosts.keysLost();
    tls.renew();
  });
}

async function runProxy(
  values: ProxyValues & { hosts: string },
  backends: Backends,
  print: Print,
): Promise<void> {
  if (values.isolate) await import('../wrap/isolate.ts');
  const registry = new Registry();
  let observe: ProxyEvents['onRecord'] = () => undefined;
  await prepareBackends(backends);
  const { proxy, filesNeeded } = createProxy(values, backends, print, (record) => observe(record));
  ({ observe } = proxyMetrics(proxy.stats, () => proxy.open, registry));
  if (cluster.isWorker) {
    shareMetrics(registry);
    await takeTicketKeys((keys) => proxy.setTicketKeys(keys));
  }
  const ending = cluster.isWorker ? workerEnding() : endingSignal(['SIGINT', 'SIGTERM']);
  const addKeyServers = keyServerMetrics(registry);
  addKeyServers();
  const hosts = await serveHosts(values.hosts, proxy, print, addKeyServers);
  process.on('SIGHUP', () => hosts.reload());
  if (values.isolate) restoreKeys(hosts, backends);
  for (const { option, name } of unknownNames(values, hosts.hosts))
    print('option-problem', { option, name, reason: 'no host has this name, now' });
  const endMetrics = await startOwnMetrics(values, registry, print);
  tellOfFewFiles(filesNeeded, print);
  await listen(proxy, values.listen, print);
  try {
    const reason = await ending;
    hosts.close();
    // Whoever reads the line finds the port closed.
    const closed = proxy.close(numberOf(values, 'drain-timeout'));
    print('draining', { reason });
    await closed;
  } finally {
    endMetrics();
  }
  const { accepted, refused, requests } = proxy.stats;
  print('ended', { accepted, refused, requests });
}

async function runAll(values: ProxyValues, args: readonly string[], print: Print): Promise<number> {
  const [count, drainMs] = [numberOf(values, 'workers'), numberOf(values, 'drain-timeout')];
  const endMetrics =
    values.metrics === undefined
      ? () => undefined
      : await startMetrics('proxy', values.metrics, workersMetrics(count, print), print);
  try {
    return await runWorkers({ count, args, drainMs }, print);
  } finally {
    endMetrics();
  }
}

async function run(args: readonly string[]): Promise<number> {
  const values = parseProxy(args);
  parseListen('proxy', values.listen, LOOPBACK);
  const backends = parseBackends(values);
  parseTrusted(values.trust);
  const isFirstOfMany = cluster.isPrimary && numberOf(values, 'workers') > 1;
  if (isFirstOfMany) demandFiles(values);
  const lines = eventLines(values.json, undefined, ACCESS_LOG);
  try {
    if (isFirstOfMany) return await runAll(values, args, lines.print);
    await runProxy(values, backends, lines.print);
    return 0;
  } finally {
    await lines.end();
    // The channel would keep the process; one that closes it without a word ends with 0 (Node 20 to 26).
    cluster.worker?.disconnect();
  }
}

/** See {@link USAGE}. */
export const proxy: Command = { usage: USAGE, run };

/** The question: what does a full handshake cost the edge, with its key native and on a key server? */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SecureVersion } from 'node:tls';
import { KeylessError } from '../errors.ts';
import { BenchLoad, type BenchMode, BenchServer, cpuMsOf, median } from './bench-method.ts';
import type { Files, KeyServerProcess } from './key-server-process.ts';

export interface Case {
  readonly key: 'RSA-2048' | 'P-256';
  readonly version: SecureVersion;
}

export interface Settings {
  readonly rounds: number;
  /** Handshakes in a round, of each server. */
  readonly count: number;
  /** Milliseconds of load before, for each server: V8 compiles meanwhile. */
  readonly warmUpMs: number;
  readonly concurrent: number;
}

/** Of one side, a value for each round: milliseconds for one full handshake. */
export interface Side {
  readonly mode: BenchMode;
  readonly edgeCpuMs: readonly number[];
  readonly wallMs: readonly number[];
}

export interface Result extends Case {
  readonly native: Side;
  readonly remote: Side;
  /** Median of the edge's CPU remote over that of native. */
  readonly ratio: number;
  /** Milliseconds of the key server's CPU for one handshake; `undefined`: not to be had on this system. */
  readonly keyServerCpuMs: number | undefined;
  /** Of the clients' process, 0 to 1: near 1, the clients are the bottleneck of the wall times. */
  readonly loadUtilisation: number;
  readonly pinned: boolean;
  /** Every handshake of the remote side had its operation: none was resumed. */
  readonly operationsPerHandshake: number;
}

interface Measured {
  readonly edgeCpuMs: number[];
  readonly wallMs: number[];
  operations: number;
  keyServerCpuMs: number | undefined;
}

interface Contestants {
  readonly servers: Readonly<Record<BenchMode, BenchServer>>;
  readonly load: BenchLoad;
  readonly keyServerPid: number | undefined;
}

const MODES: readonly BenchMode[] = ['native', 'remote'];
const WARM_UP_COUNT = 250;

async function warmUp({ servers, load }: Contestants, { version }: Case, settings: Settings): Promise<void> {
  for (const mode of MODES) {
    const until = performance.now() + settings.warmUpMs;
    while (performance.now() < until) {
      const { concurrent } = settings;
      await load.run({ port: servers[mode].port, version, count: WARM_UP_COUNT, concurrent });
    }
  }
}

async function round(
  { servers, load, keyServerPid }: Contestants,
  mode: BenchMode,
  { version }: Case,
  { count, concurrent }: Settings,
  into: Measured,
): Promise<number> {
  const server = servers[mode];
  const [before, keyServerBefore] = [await server.figures(), cpuMsOf(keyServerPid)];
  const { wallMs, cpuMs, failed } = await load.run({ port: server.port, version, count, concurrent });
  if (failed > 0)
    throw new KeylessError('ERR_KEYLESS_HANDSHAKE', `${failed} of ${count} handshakes (${mode}) failed.`);
  const [after, keyServerAfter] = [await server.figures(), cpuMsOf(keyServerPid)];
  into.edgeCpuMs.push((after.cpuMs - before.cpuMs) / count);
  into.wallMs.push(wallMs / count);
  into.operations += after.operations - before.operations;
  if (keyServerBefore !== undefined && keyServerAfter !== undefined) {
    into.keyServerCpuMs = (into.keyServerCpuMs ?? 0) + keyServerAfter - keyServerBefore;
  }
  return cpuMs / wallMs;
}

function nothingMeasured(): Measured {
  return { edgeCpuMs: [], wallMs: [], operations: 0, keyServerCpuMs: undefined };
}

async function compare(contestants: Contestants, which: Case, settings: Settings): Promise<Result> {
  await warmUp(contestants, which, settings);
  const measured = { native: nothingMeasured(), remote: nothingMeasured() };
  const utilisations: number[] = [];
  for (let index = 0; index < settings.rounds; index += 1) {
    for (const mode of index % 2 === 0 ? MODES : MODES.toReversed()) {
      utilisations.push(await round(contestants, mode, which, settings, measured[mode]));
    }
  }
  const { native, remote } = measured;
  const handshakes = settings.rounds * settings.count;
  return {
    ...which,
    native: { mode: 'native', edgeCpuMs: native.edgeCpuMs, wallMs: native.wallMs },
    remote: { mode: 'remote', edgeCpuMs: remote.edgeCpuMs, wallMs: remote.wallMs },
    ratio: median(remote.edgeCpuMs) / median(native.edgeCpuMs),
    keyServerCpuMs: remote.keyServerCpuMs === undefined ? undefined : remote.keyServerCpuMs / handshakes,
    loadUtilisation: median(utilisations),
    pinned: contestants.servers.native.pinned && contestants.servers.remote.pinned,
    operationsPerHandshake: remote.operations / handshakes,
  };
}

/**
 * Starts both servers for one case, measures, and ends them.
 *
 * @param burnMs milliseconds of CPU that the remote server wastes for each handshake: shows that a slowdown is seen
 */
export async function measureHandshakes(
  files: Files,
  keyServer: KeyServerProcess,
  which: Case,
  settings: Settings,
  burnMs = 0,
): Promise<Result> {
  const rsa = which.key === 'RSA-2048';
  const site = {
    cert: files.certs[rsa ? 0 : 1],
    key: readFileSync(join(files.folder, 'keys', rsa ? 'rsa.key' : 'ecdsa.key'), 'utf8'),
    keyServer: { port: keyServer.port, ...files.edge, ca: files.ca },
  };
  const native = await BenchServer.start({ ...site, mode: 'native' });
  const remote = await BenchServer.start({
    ...site,
    mode: 'remote',
    key: undefined,
    burnMs,
  });
  const load = new BenchLoad();
  try {
    return await compare(
      { servers: { native, remote }, load, keyServerPid: keyServer.child.pid },
      which,
      settings,
    );
  } finally {
    for (const each of [native, remote, load]) each.end();
  }
}

/**
 * What does the shim itself cost? Server CPU for each full handshake, native against keyless with a key in the same
 * process that answers synchronously: `node dist/bench/overhead.js [rounds] [handshakes a round]`.
 *
 * Both servers run at once in processes of their own and are measured in turn (A B, B A …), in one run; CPU time from
 * the server's own rusage, so that the load generator's share does not count. Sessions are never resumed: the client
 * offers none. The key is localKey's, which signs with OpenSSL as
 * node:tls does.
 */
import { type ChildProcess, execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import tls from 'node:tls';
import { fileURLToPath } from 'node:url';
import { createServer, localKey, type VerifyPolicy } from '../lib/index.ts';
import { type Issued, type KeyKind, makeAuthority } from '../test/helpers/certificates.ts';

type Kind = Extract<KeyKind, 'rsa' | 'p256'>;
type Mode = 'native' | 'keyless';

interface Plan extends Issued {
  readonly mode: Mode;
  readonly kind: Kind;
  readonly verify: VerifyPolicy;
}

const CONCURRENT = 16;
/** About 8 s for each server: before, V8 is still compiling, and a keyless handshake has more to compile. */
const WARM_UP = 20_000;

function serve(plan: Plan): void {
  const options = { cert: plan.certPem, minVersion: 'TLSv1.3' } as const;
  const onSocket = (socket: tls.TLSSocket) => {
    socket.on('error', () => {});
    socket.on('data', () => socket.end('y'));
  };
  const server =
    plan.mode === 'native'
      ? tls.createServer({ ...options, key: plan.keyPem }, onSocket)
      : createServer(
          { ...options, key: localKey(plan.keyPem, { sync: true, verify: plan.verify }) },
          onSocket,
        );
  server.listen(0, '127.0.0.1', () => process.send?.((server.address() as { port: number }).port));
  process.on('message', () => {
    const { user, system } = process.cpuUsage();
    process.send?.((user + system) / 1000);
  });
}

function load(port: number, count: number): Promise<void> {
  return new Promise((resolve) => {
    let started = 0;
    let ended = 0;
    const next = () => {
      while (started < count && started - ended < CONCURRENT) {
        started += 1;
        const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false }, () =>
          socket.write('x'),
        );
        socket.on('data', () => {});
        socket.on('close', () => {
          ended += 1;
          if (ended === count) resolve();
          else next();
        });
      }
    };
    next();
  });
}

/** Where there is more than one core, each side has its own. */
function pin(pid: number, core: number): void {
  if (availableParallelism() < 2) return;
  execFileSync('taskset', ['-a', '-cp', String(core), String(pid)], { stdio: 'ignore' });
}

const SERVER_CORE = 0;
const LOAD_CORE = 1;

async function startServer(plan: Plan): Promise<{ child: ChildProcess; port: number }> {
  const child = fork(fileURLToPath(import.meta.url), { env: { ...process.env, BENCH_ROLE: 'server' } });
  child.send(plan);
  const [port] = (await once(child, 'message')) as [number];
  pin(child.pid as number, SERVER_CORE);
  return { child, port };
}

async function cpuMs(child: ChildProcess): Promise<number> {
  child.send('cpu');
  return ((await once(child, 'message')) as [number])[0];
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] as number;
}

async function compare(kind: Kind, verify: VerifyPolicy, rounds: number, count: number): Promise<void> {
  const issued = await (await makeAuthority()).issue({ type: kind });
  const modes = ['native', 'keyless'] as const;
  const servers = await Promise.all(modes.map((mode) => startServer({ ...issued, mode, kind, verify })));
  for (const { port } of servers) await load(port, WARM_UP);
  const figures: number[][] = modes.map(() => []);
  for (let round = 0; round < rounds; round += 1) {
    for (const index of round % 2 === 0 ? [0, 1] : [1, 0]) {
      const { child, port } = servers[index] as (typeof servers)[number];
      const before = await cpuMs(child);
      await load(port, count);
      figures[index]?.push(((await cpuMs(child)) - before) / count);
    }
  }
  for (const { child } of servers) child.kill();
  const [native, keyless] = figures as [number[], number[]];
  const ratios = native.map((value, index) => (keyless[index] as number) / value);
  const show = (values: readonly number[]) =>
    `${median(values).toFixed(3)} (${Math.min(...values).toFixed(3)} to ${Math.max(...values).toFixed(3)})`;
  console.log(
    `${kind}, TLS 1.3, verify: ${verify}: native ${show(native)} ms, keyless ${show(keyless)} ms, ` +
      `ratio ${(median(keyless) / median(native)).toFixed(3)} (by round ${show(ratios)})`,
  );
}

if (process.env.BENCH_ROLE === 'server') {
  process.once('message', (plan) => serve(plan as Plan));
} else {
  const [rounds = 9, count = 1500] = process.argv.slice(2).map(Number);
  pin(process.pid, LOAD_CORE);
  console.log(
    `Node ${process.version}, ${rounds} rounds of ${count} handshakes, server CPU per full handshake, medians`,
  );
  await compare('p256', 'rsa', rounds, count);
  await compare('rsa', 'never', rounds, count);
  await compare('rsa', 'rsa', rounds, count);
}

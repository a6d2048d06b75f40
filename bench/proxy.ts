/**
 * What does `keyless-tls proxy` cost beside a hand-written TLS proxy of Node.js? CPU for each gigabyte that passes, and the
 * memory of idle connections: `node dist/bench/proxy.js [rounds] [megabytes a round] [idle connections]`.
 *
 * Both proxies run at once in processes of their own, in front of the same backend, and are measured in turn (A B, B A …).
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import tls from 'node:tls';
import { fileURLToPath } from 'node:url';
import { HostsFolder, ProxyProcess } from '../test/helpers/proxying.ts';

const SELF = fileURLToPath(import.meta.url);
const TICKS_PER_SECOND = 100;

interface Plan {
  readonly cert: string;
  readonly key: string;
  readonly backend: number;
}

/** The proxy that anybody would write. */
function handWritten({ cert, key, backend }: Plan): void {
  const server = tls.createServer({ cert, key }, (socket) => {
    const out = net.connect(backend, '127.0.0.1');
    socket.pipe(out).pipe(socket);
    socket.on('error', () => out.destroy());
    out.on('error', () => socket.destroy());
  });
  server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
}

async function startHandWritten(plan: Plan): Promise<{ child: ChildProcess; port: number }> {
  const child = fork(SELF, ['--hand-written'], { stdio: 'inherit' });
  child.send(plan);
  const [port] = (await once(child, 'message')) as [number];
  return { child, port };
}

/** User and system time of a process, seconds (proc(5)). */
function cpuOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

function residentOf(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024;
}

/** Reads so many bytes from the backend, which sends for ever. */
async function download(port: number, bytes: number): Promise<void> {
  const socket = tls.connect({ port, servername: 'localhost', rejectUnauthorized: false });
  let got = 0;
  socket.on('data', (chunk: Buffer) => {
    got += chunk.length;
    if (got >= bytes) socket.destroy();
  });
  await once(socket, 'close');
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

interface Measured {
  readonly name: string;
  readonly pid: number;
  readonly port: number;
  readonly cpu: number[];
  readonly rate: number[];
}

async function measure({ pid, port, cpu, rate }: Measured, megabytes: number): Promise<void> {
  const [before, startedAt] = [cpuOf(pid), performance.now()];
  await download(port, megabytes * 1e6);
  cpu.push(((cpuOf(pid) - before) * 1000) / megabytes);
  rate.push((megabytes * 1000) / (performance.now() - startedAt));
}

async function idle({ name, pid, port }: Measured, count: number): Promise<void> {
  const before = residentOf(pid);
  const sockets: tls.TLSSocket[] = [];
  while (sockets.length < count) {
    const batch = Array.from({ length: Math.min(100, count - sockets.length) }, () =>
      tls.connect({ port, servername: 'localhost', rejectUnauthorized: false }),
    );
    await Promise.all(batch.map((socket) => once(socket, 'secureConnect')));
    sockets.push(...batch);
  }
  const after = residentOf(pid);
  console.log(
    `${name}: ${count} idle connections, ${after.toFixed(0)} MB resident, ${(((after - before) * 1024) / count).toFixed(0)} KB each`,
  );
  for (const socket of sockets) socket.destroy();
}

async function main([rounds = 7, megabytes = 400, connections = 10_000]: readonly number[]): Promise<void> {
  const folder = await HostsFolder.make();
  const { certPem, keyPem } = await folder.add('www', ['localhost']);
  const chunk = Buffer.alloc(65_536, 'x');
  const backend = net.createServer((socket) => {
    const fill = () => {
      while (socket.writable && socket.write(chunk));
    };
    socket.on('drain', fill).on('error', () => undefined);
    // Idle connections ask for nothing.
    socket.once('data', fill);
  });
  const flood = net.createServer((socket) => {
    const fill = () => {
      while (socket.writable && socket.write(chunk));
    };
    socket.on('drain', fill).on('error', () => undefined);
    fill();
  });
  for (const server of [backend, flood]) await once(server.listen(0, '127.0.0.1', 16_384), 'listening');
  const portOf = (server: net.Server) => (server.address() as AddressInfo).port;
  const options = ['--max-connections', '20000', '--idle-timeout', '600000', '--quiet'];
  const start = async (server: net.Server): Promise<[Measured, Measured, () => void]> => {
    const hand = await startHandWritten({ cert: certPem, key: keyPem, backend: portOf(server) });
    const proxy = new ProxyProcess(folder, ['--backend', `tcp://127.0.0.1:${portOf(server)}`, ...options]);
    const own = {
      name: 'keyless-tls proxy',
      pid: proxy.child.pid!,
      port: await proxy.port(),
      cpu: [],
      rate: [],
    };
    const other = { name: 'hand-written', pid: hand.child.pid!, port: hand.port, cpu: [], rate: [] };
    const end = () => {
      hand.child.kill();
      proxy.child.kill('SIGKILL');
    };
    return [other, own, end];
  };
  const [hand, own, end] = await start(flood);
  for (const each of [hand, own]) await download(each.port, megabytes * 1e6);
  for (let round = 0; round < rounds; round += 1)
    for (const each of round % 2 === 0 ? [hand, own] : [own, hand]) await measure(each, megabytes);
  for (const { name, cpu, rate } of [hand, own])
    console.log(`${name}: ${median(cpu).toFixed(2)} s CPU for a gigabyte, ${median(rate).toFixed(0)} MB/s`);
  const [perCpu, perWall] = [median(hand.cpu) / median(own.cpu), median(own.rate) / median(hand.rate)];
  console.log(
    `bytes for the same CPU: ${perCpu.toFixed(2)} x hand-written; bytes a second: ${perWall.toFixed(2)} x`,
  );
  end();
  if (connections > 0) {
    const [handIdle, ownIdle, endIdle] = await start(backend);
    for (const each of [handIdle, ownIdle]) await idle(each, connections);
    endIdle();
  }
  folder.remove();
  process.exit();
}

if (process.argv[2] === '--hand-written') process.once('message', (plan) => handWritten(plan as Plan));
else await main(process.argv.slice(2).map(Number));

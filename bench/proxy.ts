/**
 * What does `keyless-tls proxy` cost beside a hand-written TLS proxy of Node.js? CPU for each gigabyte that passes, bytes a
 * second, and the memory of idle connections: `node dist/bench/proxy.js [rounds] [megabytes a round] [idle connections]`.
 *
 * Both proxies run at once in processes of their own, in front of the same backend, and are measured in turn (A B, B A …).
 */
import type { Watched } from '../lib/cli/bench/doubts.ts';
import { HostsFolder } from '../test/helpers/proxying.ts';
import { tellDisturbance, watch } from './alone.ts';
import { cpuOf, residentOf } from './child-figures.ts';
import { end } from './children.ts';
import { type Running, startBackend, startHandWritten, startOwn, type Terminator } from './proxies.ts';
import { holdIdle, idleCount, PROTOCOLS } from './proxy-crowd.ts';
import { cleaningUp, script, wholeNumber, wordsOf } from './script.ts';
import { download } from './transfer.ts';

interface Measured extends Terminator {
  readonly cpu: number[];
  readonly rate: number[];
  readonly rounds: Watched[];
}

const ended = (...all: readonly Running[]) => Promise.all(all.map(({ child }) => end(child)));

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

async function measure(
  { pid, port, cpu, rate, rounds }: Measured,
  megabytes: number,
  own: readonly number[],
): Promise<void> {
  const [before, startedAt, waitsOf] = [cpuOf(pid), performance.now(), watch(own)];
  await download(port, megabytes * 1e6);
  cpu.push(((cpuOf(pid) - before) * 1000) / megabytes);
  rate.push((megabytes * 1000) / (performance.now() - startedAt));
  rounds.push({ waits: waitsOf(pid) });
}

async function passBytes(folder: HostsFolder, rounds: number, megabytes: number): Promise<void> {
  const backend = await startBackend('flood');
  const proxies = [await startHandWritten(folder, backend.port), await startOwn(folder, 'tcp', backend.port)];
  const [hand, own] = proxies.map((proxy): Measured => ({ ...proxy, cpu: [], rate: [], rounds: [] })) as [
    Measured,
    Measured,
  ];
  const pids = [process.pid, ...[...proxies, backend].map(({ child }) => child.pid!)];
  for (const { port } of [hand, own]) await download(port, megabytes * 1e6);
  for (let round = 0; round < rounds; round += 1)
    for (const each of round % 2 === 0 ? [hand, own] : [own, hand]) await measure(each, megabytes, pids);
  for (const { name, cpu, rate } of [hand, own])
    console.log(`${name}: ${median(cpu).toFixed(2)} s CPU for a gigabyte, ${median(rate).toFixed(0)} MB/s`);
  const [perCpu, perWall] = [median(hand.cpu) / median(own.cpu), median(own.rate) / median(hand.rate)];
  console.log(
    `bytes for the same CPU: ${perCpu.toFixed(2)} x hand-written; bytes a second: ${perWall.toFixed(2)} x`,
  );
  tellDisturbance({ [hand.name]: hand.rounds, [own.name]: own.rounds }, 'the proxy');
  await ended(...proxies, backend);
}

/** Each proxy by itself, and each crowd in a process of its own, which has a limit of open files of its own. */
async function beIdle(folder: HostsFolder, wanted: number): Promise<void> {
  for (const protocol of PROTOCOLS) {
    const count = idleCount(protocol, wanted);
    if (count < wanted)
      console.log(`over ${protocol}, the limit of open files of this machine leaves room for ${count}`);
    const backend = await startBackend(protocol === 'tcp' ? 'quiet' : 'http');
    const starts = [() => startOwn(folder, protocol, backend.port)];
    if (protocol === 'tcp') starts.unshift(() => startHandWritten(folder, backend.port));
    for (const start of starts) {
      const proxy = await start();
      const before = residentOf(proxy.pid);
      const crowd = await holdIdle(proxy.port, protocol, count);
      const after = residentOf(proxy.pid);
      const each = (((after - before) * 1024) / crowd.held).toFixed(0);
      console.log(
        `${proxy.name}, ${protocol}: ${crowd.held} idle connections (${crowd.lost} lost), ${after.toFixed(0)} MB resident, ${each} KB each`,
      );
      await ended(crowd, proxy);
    }
    await ended(backend);
  }
}

await script('npm run bench:proxy -- 7 400 10000', async () => {
  const [rounds = 7, megabytes = 400, connections = 10_000] = wordsOf(
    wholeNumber('Rounds', 0),
    wholeNumber('Megabytes of a round'),
    wholeNumber('Idle connections', 0),
  );
  // Before the rounds, which take their time.
  for (const protocol of PROTOCOLS) idleCount(protocol, connections);
  await cleaningUp(async () => {
    const folder = await HostsFolder.make();
    await folder.add('www', ['localhost']);
    if (rounds > 0) await passBytes(folder, rounds, megabytes);
    if (connections > 0) await beIdle(folder, connections);
  });
});

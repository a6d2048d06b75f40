/** A machine whose cores are all busy with something else: row 33 of docs/operations.md. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { after, before, test } from 'node:test';
import { EdgeProcess, visitPort } from '../helpers/edge-process.ts';
import { type KeyServerSetup, makeKeyServers } from '../helpers/key-servers.ts';
import { type ServeFiles, ServeProcess, serveFiles } from '../helpers/serve-process.ts';

const BUSY_MS = 8000;
/** They end by themselves. */
const HOG = `const until = Date.now() + ${2 * BUSY_MS}; while (Date.now() < until);`;

let setup: KeyServerSetup;
let files: ServeFiles;
const children: ChildProcess[] = [];

before(async () => {
  setup = await makeKeyServers(['p256']);
  files = serveFiles(setup);
});
after(() => {
  for (const child of children) child.kill('SIGKILL');
  files.remove();
});

test('row 33: two busy processes for each core: slower, and nothing is taken for dead', async (context) => {
  const servers = [
    new ServeProcess([...files.args, '--quiet']),
    new ServeProcess([...files.args, '--quiet']),
  ];
  children.push(...servers.map(({ child }) => child));
  const addresses = await Promise.all(servers.map(async (server) => `127.0.0.1:${await server.port()}`));
  const edge = await EdgeProcess.start({
    certPem: setup.sites.p256!.certPem,
    keyServers: { servers: addresses, ...setup.edgeOptions },
  });
  children.push(edge.child);
  await edge.until(({ ready }) => ready === 4);
  for (let hogs = 0; hogs < 2 * availableParallelism(); hogs += 1)
    children.push(spawn(process.execPath, ['-e', HOG]));
  const since = performance.now();
  const times: number[] = [];
  const client = async (): Promise<void> => {
    for (let now = since; now - since < BUSY_MS; now = performance.now()) {
      assert.equal(await visitPort(edge.port, setup.authority.certPem), 'ok');
      times.push(performance.now() - now);
    }
  };
  await Promise.all(Array.from({ length: 6 }, client));
  const { failures, errors, retried, ready, loopDelayMs } = await edge.state();
  times.sort((one, other) => one - other);
  const at = (share: number) => times[Math.floor(times.length * share)]!.toFixed(0);
  context.diagnostic(
    `${times.length} handshakes, p50 ${at(0.5)} ms, p99 ${at(0.99)} ms; the edge's loop was late by ${loopDelayMs.toFixed(0)} ms`,
  );
  assert.deepEqual({ failures, errors, retried, ready }, { failures: 0, errors: {}, retried: 0, ready: 4 });
  assert.equal(await edge.end(), 0);
});

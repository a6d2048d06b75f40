import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { test } from 'node:test';
import { measureHandshakes, type Result } from '../../../lib/cli/bench-handshakes.ts';
import { BenchServer, cpuMsOf, median } from '../../../lib/cli/bench-method.ts';
import { page, type Report, summary, table } from '../../../lib/cli/bench-report.ts';
import { makeFiles, startKeyServer } from '../../../lib/cli/key-server-process.ts';
import { MAIN } from '../../helpers/serve-process.ts';

test('the median is the middle, or the mean of the two in the middle', () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 3, 2]), 2.5);
  assert.equal(median([7]), 7);
});

test('the CPU time of a process rises with its work', () => {
  const before = cpuMsOf(process.pid)!;
  const until = process.cpuUsage().user + 50_000;
  while (process.cpuUsage().user < until);
  const risen = cpuMsOf(process.pid)! - before;
  assert.ok(risen >= 30 && risen < 1000, String(risen));
  assert.equal(cpuMsOf(2 ** 22), undefined);
});

test('a measurement has every round, one operation for each remote handshake, and figures that can be', async () => {
  const files = makeFiles();
  const keyServer = await startKeyServer(files);
  try {
    const settings = { rounds: 2, count: 20, warmUpMs: 1, concurrent: 4 };
    const result = await measureHandshakes(files, keyServer, { key: 'P-256', version: 'TLSv1.3' }, settings);
    for (const side of [result.native, result.remote]) {
      assert.equal(side.edgeCpuMs.length, 2);
      assert.ok(
        side.edgeCpuMs.every((value) => value > 0.05 && value < 500),
        String(side.edgeCpuMs),
      );
    }
    assert.equal(result.operationsPerHandshake, 1);
    assert.ok(result.ratio > 0);
  } finally {
    keyServer.child.kill();
    await keyServer.ended;
    rmSync(files.folder, { recursive: true, force: true });
  }
});

test('a server that ends instead of listening ends the measurement', async () => {
  const files = makeFiles();
  try {
    const keyServer = { port: 1, ...files.edge, ca: files.ca };
    const plan = { mode: 'remote', cert: files.certs[1]!, key: undefined, keyServer } as const;
    await assert.rejects(BenchServer.start(plan), { code: 'ERR_KEYLESS_CONNECTION' });
  } finally {
    rmSync(files.folder, { recursive: true, force: true });
  }
});

function report(more: Partial<Result> = {}): Report {
  const result: Result = {
    key: 'RSA-2048',
    version: 'TLSv1.3',
    native: { mode: 'native', edgeCpuMs: [1.2, 1, 1.1], wallMs: [1, 1, 1] },
    remote: { mode: 'remote', edgeCpuMs: [0.5, 0.6, 0.55], wallMs: [1, 1, 1] },
    ratio: 0.5,
    keyServerCpuMs: 0.66,
    loadUtilisation: 0.5,
    pinned: true,
    operationsPerHandshake: 1,
    ...more,
  };
  const machine = { node: 'v0', openssl: '3', cpu: '<b>"fast" & cheap</b>', cores: 2, platform: 'linux-x64' };
  return { time: '2026-01-01T00:00:00.000Z', machine, settings: { rounds: 3 }, handshakes: [result] };
}

test('the table and the words say what was measured, also what it costs in all', () => {
  assert.match(
    table(report()),
    /RSA-2048 {2}TLSv1\.3 .*1\.100 \(1\.000–1\.200\).*0\.550 .*0\.50 ×.*0\.660.*909 → 1818/,
  );
  assert.deepEqual(summary(report()), [
    'RSA-2048, TLSv1.3: a full handshake costs the edge 0.50 × the CPU of native, edge and key server together 1.10 ×.',
    'The gain is per edge core; the CPU of all machines together rises.',
  ]);
  assert.match(table(report({ keyServerCpuMs: undefined })), / – /);
});

test('the page stands alone, and no text of the machine is markup', () => {
  const html = page(report());
  assert.match(html, /<svg viewBox="0 0 640 \d+"/);
  assert.match(html, /prefers-color-scheme: dark/);
  assert.doesNotMatch(html, /<b>|https?:|<script|<link|<img/);
});

for (const args of [
  ['--key', 'dsa'],
  ['--version', '1.1'],
  ['--key', 'toString'],
]) {
  test(`bench ${args.join(' ')} is refused with what there is`, () => {
    const { status, stderr } = spawnSync(process.execPath, [MAIN, 'bench', ...args], { encoding: 'utf8' });
    assert.equal(status, 2);
    assert.match(stderr, /is one of/);
  });
}

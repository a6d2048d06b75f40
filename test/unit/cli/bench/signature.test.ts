/** What a signature alone takes is counted in CPU time, among the rounds of the edges, and left out where others had the core. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { after, test } from 'node:test';
import { cpuMsOfOne, signatureMs, signatureRounds } from '../../../../lib/cli/bench/signature.ts';
import { makeSiteFiles } from '../../../../lib/cli/bench/sites.ts';
import type { Workshop } from '../../../../lib/cli/bench/workshop.ts';
import { QUIET } from '../../../helpers/bench.ts';

const files = makeSiteFiles();
after(() => rmSync(files.folder, { recursive: true }));

test('a signature costs what so many of them do, however dear the first one, and no more of them than a round has time for', () => {
  for (const each of [0.014, 0.3, 1.5]) {
    let [cpuMs, calls] = [0, 0];
    const sign = () => {
      cpuMs += calls === 0 ? 10 * each : each;
      calls += 1;
    };
    const found = cpuMsOfOne(sign, () => cpuMs);
    assert.ok(Math.abs(found / each - 1) < 1e-9, `${each}: ${found}`);
    assert.ok(cpuMs < 100, `${each}: ${cpuMs}`);
  }
});

test('the lower quartile is of the rounds that nobody disturbed: of two, one that is dearer all the same says nothing', () => {
  const round = (cpuMs: number, edge = 0) => ({ cpuMs, waits: { ...QUIET, edge } });
  assert.equal(signatureMs([round(2), round(0.5, 0.3), round(1), round(8, 0.4), round(7, 0.06)]), 1);
  assert.equal(signatureMs([5, 4, 3, 2, 1].map((cpuMs) => round(cpuMs))), 2);
  assert.ok(Number.isNaN(signatureMs([round(1, 0.3)])));
});

test('a round in which the process had little of a core has not stood still: it signed all the time', async () => {
  // As the clock that nobody could look at while it signed would say.
  const waits = { ...QUIET, standstill: 1 };
  const watched = async (_: unknown, work: () => Promise<unknown>) => [await work(), waits];
  const round = signatureRounds({ files, watched } as unknown as Workshop, 'P-256');
  assert.equal((await round()).waits.standstill, undefined);
});

test('a round is one of a watched process, and of every kind of key', async () => {
  const watched: number[][] = [];
  const workshop = {
    files,
    watched: async (edges: readonly { readonly pid: number }[], work: () => Promise<unknown>) => {
      watched.push(edges.map(({ pid }) => pid));
      return [await work(), QUIET];
    },
  } as unknown as Workshop;
  for (const site of ['RSA-2048', 'RSA-3072', 'P-256', 'P-384', 'Ed25519'] as const) {
    const round = signatureRounds(workshop, site);
    const { cpuMs, waits } = await round();
    assert.ok(cpuMs > 0 && cpuMs < 100, `${site} ${cpuMs}`);
    assert.deepEqual(waits, { ...QUIET, standstill: undefined });
  }
  assert.deepEqual(watched, Array(5).fill([process.pid]));
});

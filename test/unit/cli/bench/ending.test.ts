/** Whoever ends the benchmark early finds nothing of it left: it made private keys, and processes. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { childrenOf } from '../../../../lib/cli/bench/process-figures.ts';
import { gone, startCommand } from '../../../helpers/programs.ts';

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  test(`${signal} ends bench with its processes, and removes the keys it made`, async () => {
    const temporary = await mkdtemp(join(tmpdir(), 'keyless-tls-test-'));
    const program = startCommand(['bench', 'handshakes'], { env: { ...process.env, TMPDIR: temporary } });
    await program.prints(/1 of 1, about/);
    // Key server, clients, and by then perhaps an edge.
    let children: number[] = [];
    while (children.length < 2) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      children = childrenOf(program.pid);
    }
    assert.equal((await readdir(temporary)).length, 1);
    const { code, stdout, stderr } = await program.end(signal);
    assert.equal(code, 1);
    assert.equal(stdout, '');
    assert.match(stderr, new RegExp(`keyless-tls: ${signal}: the benchmark was ended`));
    await Promise.all(children.map(gone));
    assert.deepEqual(await readdir(temporary), []);
    await rm(temporary, { recursive: true });
  });
}

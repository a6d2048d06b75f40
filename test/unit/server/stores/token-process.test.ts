/** The process of a PKCS#11 module that does not come back: it has the PIN, and ends with the key server. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { childrenOf, ended } from '../../../helpers/child-processes.ts';
import { until } from '../../../helpers/edge.ts';

const TOKEN = new URL('../../../../lib/server/stores/pkcs11-token.js', import.meta.url);

let folder: string;
/** The linker waits for ever for what it would load from a pipe. */
let library: string;

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'keyless-tls-token-'));
  library = join(folder, 'module.so');
  execFileSync('mkfifo', [library]);
});
after(() => rmSync(folder, { recursive: true, force: true }));

/** @returns `undefined`: nobody reads it yet */
function writerOf(path: string): number | undefined {
  try {
    return openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
}

/** @param work with the process of the token, which hangs in its module */
async function hanging(parent: ChildProcess, work: (pid: number) => Promise<void>): Promise<void> {
  let writer: number | undefined;
  await until(() => {
    writer = writerOf(library);
    return writer !== undefined;
  });
  try {
    const [pid, ...others] = childrenOf(parent.pid!);
    assert.deepEqual(others, []);
    await work(pid!);
  } finally {
    closeSync(writer!);
  }
}

function startToken(): ChildProcess {
  const source = `
    import { pkcs11Token } from ${JSON.stringify(TOKEN.href)};
    await pkcs11Token({ library: ${JSON.stringify(library)}, pin: '271828', processes: 1 });`;
  return spawn(process.execPath, ['--input-type=module', '-e', source], { stdio: 'ignore' });
}

for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
  test(`a process of a token that hangs in the start of its module ends with its parent (${signal})`, async () => {
    const parent = startToken();
    await hanging(parent, async (pid) => {
      parent.kill(signal);
      await ended(pid);
    });
  });
}

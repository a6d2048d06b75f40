/** What is left of the processes with the keys when whoever started them has ended: nothing. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { before, test } from 'node:test';
import { type Issued, makeAuthority } from '../helpers/certificates.ts';
import { ended } from '../helpers/child-processes.ts';

const ISOLATE = new URL('../../lib/wrap/isolate.js', import.meta.url);
const CHILD_PROGRAM = new URL('../../lib/engine/child-program.js', import.meta.url);
const CHILDREN = new URL('../helpers/child-processes.js', import.meta.url);

let issued: Issued;
before(async () => {
  const authority = await makeAuthority();
  issued = await authority.issue({ type: 'p256' });
});

/** @returns the JSON that it has printed */
function run(source: string): unknown {
  const { stdout, stderr } = spawnSync(
    process.execPath,
    ['--import', ISOLATE.href, '--input-type=module', '-e', source],
    { env: { ...process.env, CERT: issued.certPem, KEY: issued.keyPem }, encoding: 'utf8' },
  );
  assert.equal(stderr, '');
  return JSON.parse(stdout);
}

const MAKE_CONTEXT = 'tls.createSecureContext({ cert: process.env.CERT, key: process.env.KEY });';

for (const [how, end] of [
  ['exits', 'process.exit();'],
  ['is killed', `process.kill(process.pid, 'SIGKILL');`],
] as const) {
  test(`a program that hangs ends when its app ${how}`, async () => {
    // Not a process with keys: giving up root, the kernel forgets for a moment that it ends with its parent.
    const programs = run(`
      import { writeSync } from 'node:fs';
      import { ChildProgram } from ${JSON.stringify(CHILD_PROGRAM.href)};
      import { childrenOf } from ${JSON.stringify(CHILDREN.href)};
      const others = childrenOf(process.pid);
      new ChildProgram('/bin/sleep', ['1000'], {});
      const programs = childrenOf(process.pid).filter((pid) => !others.includes(pid));
      for (const program of programs) process.kill(program, 'SIGSTOP');
      writeSync(1, JSON.stringify(programs));
      ${end}`) as number[];
    assert.equal(programs.length, 1);
    for (const program of programs) await ended(program);
  });
}

const IN_THREAD = `
  import tls from 'node:tls';
  import { parentPort } from 'node:worker_threads';
  import { childrenOf } from ${JSON.stringify(CHILDREN.href)};
  ${MAKE_CONTEXT}
  parentPort.postMessage(childrenOf(process.pid).length);`;

for (const [how, code, then] of [
  ['ends by itself', IN_THREAD, ''],
  ['is terminated', `${IN_THREAD}\nparentPort.on('message', () => undefined);`, 'worker.terminate();'],
] as const) {
  test(`a thread that ${how} leaves no processes behind, not even ended ones`, () => {
    const left = run(`
      import { once } from 'node:events';
      import { Worker } from 'node:worker_threads';
      import { childrenOf } from ${JSON.stringify(CHILDREN.href)};
      const counts = [];
      for (let count = 0; count < 3; count += 1) {
        const worker = new Worker(new URL(${JSON.stringify(`data:text/javascript,${encodeURIComponent(code)}`)}));
        worker.on('message', (children) => { counts.push(children); ${then} });
        await once(worker, 'exit');
      }
      console.log(JSON.stringify([counts, childrenOf(process.pid)]));`);
    assert.deepEqual(left, [[2, 2, 2], []]);
  });
}

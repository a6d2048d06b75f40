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

const STOPPED_PROCESSES = `
  import { writeSync } from 'node:fs';
  import tls from 'node:tls';
  import { childrenOf } from ${JSON.stringify(CHILDREN.href)};
  ${MAKE_CONTEXT}
  const processes = childrenOf(process.pid);`;
const STOP = `
  for (const each of processes) process.kill(each, 'SIGSTOP');
  writeSync(1, JSON.stringify(processes));`;

for (const [how, end] of [
  ['exits', 'process.exit();'],
  ['is killed', `process.kill(process.pid, 'SIGKILL');`],
] as const) {
  test(`processes that are stopped in their start end when their app ${how}`, async () => {
    const processes = run(`${STOPPED_PROCESSES}${STOP}${end}`) as number[];
    assert.equal(processes.length, 2);
    for (const each of processes) await ended(each);
  });
}

const BECOME_ANOTHER_USER = 'process.setgid(1000); process.setuid(1000);';
const asRoot = { skip: process.getuid?.() === 0 ? false : 'needs root' };

for (const [when, wait] of [
  ['at once', ''],
  [
    'later',
    `const server = tls.createServer({ cert: process.env.CERT, key: process.env.KEY }).listen(0, '127.0.0.1');
    await new Promise((listening) => server.on('listening', listening));
    const client = tls.connect({ port: server.address().port, host: '127.0.0.1', rejectUnauthorized: false });
    await new Promise((connected) => client.on('secureConnect', connected));`,
  ],
] as const) {
  test(
    `processes that are stopped end with an app that was root and gave that up ${when}`,
    asRoot,
    async () => {
      const processes = run(
        `${STOPPED_PROCESSES}${wait}${STOP}${BECOME_ANOTHER_USER}process.kill(process.pid, 'SIGKILL');`,
      ) as number[];
      assert.equal(processes.length, 2);
      for (const each of processes) await ended(each);
    },
  );
}

test('an app that was root can end its programs when it has given that up', asRoot, () => {
  const how = run(`
    import { ChildProgram } from ${JSON.stringify(CHILD_PROGRAM.href)};
    const program = new ChildProgram('/bin/sleep', ['1000'], {});
    ${BECOME_ANOTHER_USER}
    const alive = setInterval(() => undefined, 1000);
    program.end((how) => {
      console.log(JSON.stringify(how));
      clearInterval(alive);
    });`);
  assert.deepEqual(how, { signal: 'SIGKILL' });
});

test('what an app starts by itself has nothing of what ties it to its processes with keys', () => {
  const [ties, inherited] = run(`
    import { spawnSync } from 'node:child_process';
    import tls from 'node:tls';
    const descriptors = (pid) => spawnSync('ls', ['-l', '/proc/' + pid + '/fd'], { encoding: 'utf8' }).stdout;
    const opened = () => descriptors(process.pid).match(/(?:socket|pipe):\\[\\d+\\]/g);
    const before = opened();
    ${MAKE_CONTEXT}
    const ties = opened().filter((each) => !before.includes(each));
    console.log(JSON.stringify([ties, descriptors('self')]));`) as [string[], string];
  // A channel and a pipe for each of the two.
  assert.ok(ties.length >= 4, String(ties));
  assert.match(inherited, / 2 -> /);
  for (const tie of ties) assert.ok(!inherited.includes(tie), `${tie} of\n${inherited}`);
});

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

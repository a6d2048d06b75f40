/** Processes and workers that end while the addon's threads sign for them end cleanly; what is awaited is waited for. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { RefusingSystem } from '../helpers/refusing-system.ts';

const SIGNER = new URL('../../lib/engine/digest-signer.js', import.meta.url).href;
const THREADS = new URL('../../lib/engine/signing-threads.js', import.meta.url).href;

/** Asks for more signatures than are made in the time. @param then what happens meanwhile @param before the first */
function program(then: string, before = ''): string {
  return `
    import { generateKeyPairSync } from 'node:crypto';
    import { isMainThread, parentPort } from 'node:worker_threads';
    const { digestSigner } = await import(${JSON.stringify(SIGNER)});
    const { setSigningThreads } = await import(${JSON.stringify(THREADS)});
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    setSigningThreads(3);
    const signer = digestSigner(privateKey, 'sha256', true);
    ${before}
    const signed = Array.from({ length: 2000 }, () => signer.signInPool(Buffer.alloc(32)));
    await signed[0];
    ${then}`;
}

function run(then: string, env: NodeJS.ProcessEnv = {}, before = '') {
  const args = ['--input-type=module', '-e', program(then, before)];
  const options = { encoding: 'utf8', env: { ...process.env, ...env } } as const;
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, args, options);
  return { status, signal, stdout, stderr };
}

test('process.exit() while threads sign', () => {
  assert.deepEqual(run('process.exit(7);'), { status: 7, signal: null, stdout: '', stderr: '' });
});

test('an uncaught exception while threads sign', () => {
  const { status, signal, stderr } = run("throw new Error('meant');");
  assert.deepEqual([status, signal], [1, null]);
  assert.match(stderr, /meant/);
});

test('a process waits for its signatures, and for nothing after them', () => {
  const then =
    "Promise.all(signed).then((all) => process.stdout.write(String(all.length)), () => process.stdout.write('no'));";
  assert.deepEqual(run(then), { status: 0, signal: null, stdout: '2000', stderr: '' });
});

test('a worker that is terminated while threads sign for it takes nothing with it', async () => {
  for (let round = 0; round < 5; round += 1) {
    const source = `data:text/javascript,${encodeURIComponent(program("parentPort.postMessage('signing');"))}`;
    const worker = new Worker(new URL(source));
    assert.deepEqual(await once(worker, 'message'), ['signing']);
    assert.equal(await worker.terminate(), 1);
  }
});

test('there are as many threads as were asked for, and they give way', () => {
  const then = `
    const { readdirSync, readFileSync } = await import('node:fs');
    const { getPriority } = await import('node:os');
    const { setImmediate: turn } = await import('node:timers/promises');
    const threads = () => readdirSync('/proc/self/task')
      .map((id) => readFileSync('/proc/self/task/' + id + '/stat', 'utf8'))
      .filter((text) => text.includes('(keyless-sign)'))
      .map((text) => Number(text.split(') ')[1].split(' ')[16]) - getPriority());
    // Each of them names itself and gives way when it begins.
    const until = performance.now() + 30_000;
    let nice = threads();
    while ((nice.length < 3 || nice.includes(0)) && performance.now() < until) {
      await turn();
      nice = threads();
    }
    process.stdout.write(JSON.stringify(nice));
    process.exit();`;
  if (process.platform === 'linux') assert.equal(run(then).stdout, '[5,5,5]');
});

test('the number of threads is one that can be, and is said before the first signature', () => {
  const then = `
    for (const count of [2, 0, 257, 1.5, NaN]) {
      try { setSigningThreads(count); } catch (error) { process.stdout.write(error.code + '\\n'); }
    }
    process.exit();`;
  assert.equal(run(then).stdout, 'ERR_KEYLESS_INVALID_ARGUMENT\n'.repeat(5));
});

test('where the system gives no thread the event loop signs, one in each turn, and everybody hears of it', (t) => {
  const system = new RefusingSystem();
  t.after(() => system.remove());
  // Node.js has its own threads by now, and is not refused any.
  const refuse = "(await import('node:fs')).writeFileSync(process.env.REFUSING_SYSTEM + '/threads', '');";
  const then = `
    let turns = 0;
    const timer = setInterval(() => (turns += 1), 1);
    const refused = signer.signInPool(Buffer.alloc(31)).then(() => 'signed', (error) => error.message);
    const all = await Promise.all(signed);
    clearInterval(timer);
    process.stdout.write(JSON.stringify([all.length, all.every(({ length }) => length === 256), turns > 10, await refused]));`;
  const { status, stdout, stderr } = run(then, system.env, refuse);
  assert.deepEqual([status, stdout], [0, '[2000,true,true,"OpenSSL does not sign this digest"]']);
  assert.match(
    stderr,
    /KEYLESS_TLS_SIGNING_THREADS.*The system starts 0 of 3 signing threads: the event loop signs/,
  );
});

/** Processes and workers that end at each step of an operation end cleanly: the code they chose, never a signal. */
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { before, describe, it } from 'node:test';
import { Worker } from 'node:worker_threads';
import { type Issued, makeAuthority } from '../helpers/certificates.ts';
import type { How, KeyExchange, Moment } from './scenario.ts';

const SCENARIO = new URL('./scenario.js', import.meta.url);
const MOMENTS: readonly Moment[] = ['before', 'in-callback', 'pending', 'answered', 'in-secure', 'done'];

let issued: Issued;

before(async () => {
  issued = await (await makeAuthority()).issue({ type: 'rsa' });
});

function plan(moment: Moment, how: How, keyExchange: KeyExchange) {
  return { moment, how, keyExchange, certPem: issued.certPem, keyPem: issued.keyPem };
}

for (const keyExchange of ['of TLS 1.3', 'RSA', 'RSA-PSK'] as const) {
  describe(`with the key exchange ${keyExchange}`, () => {
    for (const moment of keyExchange === 'RSA-PSK' ? ([...MOMENTS, 'in-psk'] as const) : MOMENTS) {
      it(`process.exit() ${moment}`, async () => {
        const child = fork(SCENARIO, { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
        let stderr = '';
        child.stderr?.setEncoding('utf8').on('data', (text) => (stderr += text));
        child.send(plan(moment, 'exit', keyExchange));
        const [code, signal] = await once(child, 'close');
        assert.deepEqual({ code, signal, stderr }, { code: 7, signal: null, stderr: '' });
      });

      it(`process.exit() in a worker ${moment}`, async () => {
        const worker = new Worker(SCENARIO, { workerData: plan(moment, 'exit', keyExchange) });
        const [code] = await once(worker, 'exit');
        assert.equal(code, 7);
      });

      // What a PrivateKey throws is its operation's failure, and what a pskCallback throws its socket's error.
      if (moment !== 'in-callback' && moment !== 'in-psk') {
        it(`an uncaught exception in a worker ${moment}`, async () => {
          const worker = new Worker(SCENARIO, { workerData: plan(moment, 'throw', keyExchange) });
          const exited = new Promise((resolve) => worker.on('exit', resolve));
          const [error] = await once(worker, 'error');
          assert.match(String(error), /as planned/);
          await exited;
        });
      }

      it(`worker.terminate() ${moment}`, async () => {
        const worker = new Worker(SCENARIO, { workerData: plan(moment, 'terminate', keyExchange) });
        await once(worker, 'message');
        assert.equal(await worker.terminate(), 1);
      });
    }
  });
}

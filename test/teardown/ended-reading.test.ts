/** Workers that are terminated while the addon reads what they gave it: of what it cannot read any more it makes no use. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';

const ADDON = new URL('../../lib/engine/addon.js', import.meta.url).href;

/** The property `name` of each tells that it is read, and is never had: the worker is terminated meanwhile. */
const READ = {
  'the options of an endpoint': {
    names: ['server', 'ca', 'ciphers', 'minVersion', 'requestCert', 'certificateChains', 'alpn'],
    call: "addon().createEndpoint(ends({ server: true, certificateChains: ['x'], alpn: new Uint8Array(1) }))",
  },
  'the certificates of an endpoint': {
    names: ['0', '1'],
    call: "addon().createEndpoint({ server: true, certificateChains: ends(['x', 'x']), alpn: new Uint8Array(1) })",
  },
  'the keys that are to sign': {
    names: ['0'],
    call: 'addon().startSigning(1, () => {}); addon().queueDigests(1, ends([{}]), [new Uint8Array(32)])',
  },
  'the words of a program': {
    names: ['0', '1'],
    call: 'addon().startChildProgram(ends([new Uint8Array(1), new Uint8Array(1)]), [])',
  },
};

for (const [what, { names, call }] of Object.entries(READ)) {
  test(`a worker that is terminated while ${what} are read takes nothing with it`, async () => {
    for (const name of names) {
      const source = `
        import { parentPort } from 'node:worker_threads';
        const { addon } = await import(${JSON.stringify(ADDON)});
        const get = () => {
          parentPort.postMessage('now');
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
        };
        const ends = (given) => Object.defineProperty(given, ${JSON.stringify(name)}, { get });
        ${call}`;
      const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`));
      assert.deepEqual(await once(worker, 'message'), ['now']);
      assert.equal(await worker.terminate(), 1, name);
    }
  });
}

/**
 * What users do in callbacks of a handshake comes in the order of node:tls, in a process of its own without this library. Callbacks
 * for which OpenSSL asks in the middle of a job (ALPNCallback, pskCallback) put something off, or throw; callbacks that choose a
 * context (SNICallback) exchange it, too.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stories } from '../helpers/stories.ts';

/** What is called native here is under isolate (test/run.ts), where no key answers at once. */
const isIsolated = process.env.NODE_OPTIONS?.includes('/isolate.js') === true;

const PROGRAMS = [await stories('asking-server'), await stories('choosing-server')];

for (const told of PROGRAMS) {
  const { native } = told;
  assert.ok(Object.keys(native).length > 0);
  for (const mode of ['sync', 'delayed'] as const) {
    for (const [name, story] of Object.entries(native)) {
      // A turn is long enough natively for the rest of the flight: for a key that answers at once, it is.
      if ((mode !== 'sync' || isIsolated) && name.endsWith('to a turn')) continue;
      test(`${name}, the key answers ${mode}`, () => assert.deepEqual(told[mode][name], story));
    }
  }
}

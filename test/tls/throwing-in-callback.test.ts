/**
 * What handlers throw while Node goes on within the callback of an SNICallback or an OCSPRequest listener: there it destroys the
 * connection, and the process goes on.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stories } from '../helpers/stories.ts';

interface Told {
  readonly told: Readonly<Record<string, string[]>>;
  readonly overStream: readonly string[];
}

const { native, ...keyless } = (await stories('throwing-in-callback')) as unknown as Record<
  'native' | 'sync' | 'delayed',
  Told
>;
for (const [mode, { told, overStream }] of Object.entries(keyless)) {
  for (const [name, story] of Object.entries(native.told))
    test(`${name}, the key answers ${mode}: as natively`, () => assert.deepEqual(told[name], story));

  // As over a socket. Natively, on Node 20, it is uncaught in the middle of what the stream does.
  test(`over a stream in JavaScript it ends no process, the key answers ${mode}`, () =>
    assert.deepEqual(
      overStream.filter((line) => line.startsWith('uncaught')),
      [],
    ));
}

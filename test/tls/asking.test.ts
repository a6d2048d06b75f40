/**
 * Callbacks of a user's for which OpenSSL asks in the middle of a job (ALPNCallback, pskCallback): what they put off, and what they
 * throw, comes in the order of node:tls, in a process of its own without this library.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const PROGRAM = fileURLToPath(new URL('../helpers/asking-server.js', import.meta.url));

type Stories = Record<string, unknown>;

async function stories(mode: string): Promise<Stories> {
  const { stdout } = await promisify(execFile)(process.execPath, [PROGRAM, mode], { timeout: 60_000 });
  return JSON.parse(stdout) as Stories;
}

const native = await stories('native');

for (const mode of ['sync', 'delayed']) {
  const told = await stories(mode);
  for (const [name, story] of Object.entries(native)) {
    test(`${name}, the key answers ${mode}`, () => assert.deepEqual(told[name], story));
  }
}

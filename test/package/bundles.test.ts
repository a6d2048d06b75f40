/** Apps that a bundler makes one file of: with the package left out of it they work, with its code in it they say what to do. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type OutputOptions, rolldown } from 'rolldown';
import { makeAuthority } from '../helpers/certificates.ts';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const APP = `
import { isolatedKey } from 'keyless-tls';
import { createServer } from 'keyless-tls/https';
try {
  createServer({ cert: process.env.CERT, key: isolatedKey(process.env.KEY) });
  console.log('made');
} catch ({ code, message }) {
  console.log(code + ' ' + message);
}
process.exit();`;
const BUNDLED =
  'ERR_KEYLESS_PLATFORM The code of keyless-tls is part of a bundle, and its binary cannot be: leave the package external ' +
  '(for esbuild, --external:keyless-tls), and install it where the bundle is.';

let folder = '';
let env: NodeJS.ProcessEnv;
before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'keyless-tls-bundles-'));
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(ROOT, join(folder, 'node_modules/keyless-tls'));
  writeFileSync(join(folder, 'app.mjs'), APP);
  const { certPem, keyPem } = await (await makeAuthority()).issue({ type: 'p256' });
  env = { ...process.env, CERT: certPem, KEY: keyPem };
});
after(() => rmSync(folder, { recursive: true }));

/** @param address as esbuild does it, where there is none in the bundle's format @returns what the bundle says */
async function say(
  format: NonNullable<OutputOptions['format']>,
  { external = [], address = true }: { external?: RegExp[]; address?: boolean },
): Promise<string> {
  const define: Record<string, string> = address ? {} : { 'import.meta.url': 'undefined' };
  const bundle = await rolldown({
    ...{ input: join(folder, 'app.mjs'), platform: 'node', logLevel: 'silent' },
    ...{ external: [/^node:/, ...external], transform: { define } },
  });
  const file = join(folder, `bundle.${format === 'cjs' ? 'cjs' : 'mjs'}`);
  await bundle.write({ file, format, codeSplitting: false });
  await bundle.close();
  return execFileSync(process.execPath, [file], { env, encoding: 'utf8' }).trim();
}

test('with the package left external an app that is a bundle works, as an ES module or not', async () => {
  for (const format of ['esm', 'cjs'] as const)
    assert.equal(await say(format, { external: [/^keyless-tls/] }), 'made', format);
});

test('with the code of the package in it, it says what to do', async () => {
  for (const format of ['esm', 'cjs'] as const) assert.equal(await say(format, {}), BUNDLED, format);
  assert.equal(await say('cjs', { address: false }), BUNDLED);
});

/**
 * The types as users see them: the package's own .d.ts files, found through its `exports` in a project elsewhere.
 * An `@ts-expect-error` in uses/ that expects nothing any more is an error, so types that became `any` are seen.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const TSC = join(ROOT, 'node_modules/typescript/bin/tsc');

/** What users have in tsconfig.json, from the laxest to the strictest. */
const PROJECTS: Readonly<Record<string, object>> = {
  'nodenext and every check there is': {
    module: 'nodenext',
    skipLibCheck: false,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    noPropertyAccessFromIndexSignature: true,
    verbatimModuleSyntax: true,
    isolatedModules: true,
  },
  'a bundler and skipLibCheck': { module: 'esnext', moduleResolution: 'bundler', skipLibCheck: true },
};

let folder = '';

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'keyless-tls-types-'));
  mkdirSync(join(folder, 'node_modules/@types'), { recursive: true });
  symlinkSync(ROOT, join(folder, 'node_modules/keyless-tls'));
  symlinkSync(join(ROOT, 'node_modules/@types/node'), join(folder, 'node_modules/@types/node'));
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  cpSync(join(ROOT, 'test/types/uses'), folder, { recursive: true });
});
after(() => rmSync(folder, { recursive: true }));

/** @returns what the compiler says, a line each */
function compile(options: object, files: readonly string[]): string[] {
  const shared = { target: 'es2023', strict: true, noEmit: true, types: ['node'] };
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({ compilerOptions: { ...shared, ...options }, files }),
  );
  const { stdout, stderr } = spawnSync(process.execPath, [TSC, '-p', '.'], { cwd: folder, encoding: 'utf8' });
  return `${stdout}${stderr}`.split('\n').filter((line) => line !== '');
}

for (const [name, options] of Object.entries(PROJECTS)) {
  test(`right uses compile and wrong ones do not, with ${name}`, () => {
    assert.deepEqual(compile(options, ['servers.ts', 'keys.ts', 'mistakes.ts']), []);
  });
}

test('the compiler is heard: a mistake that nobody expected is reported', () => {
  writeFileSync(
    join(folder, 'unexpected.ts'),
    "import { createServer } from 'keyless-tls';\ncreateServer({ key: 1 });\n",
  );
  const said = compile(PROJECTS['a bundler and skipLibCheck']!, ['unexpected.ts']);
  assert.match(said[0] ?? '', /^unexpected\.ts\(2,.*error TS2769|^unexpected\.ts\(2,.*error TS2322/);
});

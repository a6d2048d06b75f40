import assert from 'node:assert/strict';
import { test } from 'node:test';
import { codeOf, filesBelow, readSource } from './source-tree.ts';

const MAX_LINES = 400;
const NAMELESS = /(?:^|[/_.-])(?:utils?|common|helpers?|misc|shared)(?=[/_.-])/;

const typescript = ['lib/', 'test/', 'bench/', 'examples/', 'scripts/'].flatMap((folder) =>
  filesBelow(folder, /\.m?[jt]s$/),
);

/** `export default`, and `export { a as default }`. */
const hasDefaultExport = (source: string) => /^\s*export\s+(?:default\b|\{[^}]*\bas default\b)/m.test(source);

/** Nothing but `export … from`; or `export *`, which names nothing. */
function isBarrel(source: string): boolean {
  const code = codeOf(source);
  if (/^\s*export\s+(?:type\s+)?\*/m.test(code)) return true;
  const rest = code.replace(/export\s+(?:type\s+)?\{[^}]*\}\s*from\s*['"][^'"]+['"];?/g, '');
  return rest.trim() === '' && code.trim() !== '';
}

test('no file is longer than 400 lines', () => {
  const lengths = ['lib/', 'native/', 'bench/', 'test/']
    .flatMap((folder) => filesBelow(folder, /\.(m?[jt]s|cc|h|py|sh)$/))
    .map((path) => [path, readSource(path).split('\n').length - 1] as const);
  assert.ok(lengths.length > 120, `${lengths.length} files`);
  assert.deepEqual(
    lengths.filter(([, lines]) => lines > MAX_LINES),
    [],
  );
});

test('every file of lib/ and native/ is named after an idea', () => {
  assert.deepEqual(
    ['lib/', 'native/'].flatMap((folder) => filesBelow(folder, /./)).filter((path) => NAMELESS.test(path)),
    [],
  );
});

test('names are kebab-case in TypeScript and snake_case in C++', () => {
  const strange = [
    ...typescript.filter((path) => !/(?:^|\/)[a-z0-9]+(?:[-.][a-z0-9]+)*\.m?[jt]s$/.test(path)),
    ...filesBelow('native/', /\.(cc|h)$/).filter(
      (path) => !/(?:^|\/)[a-z0-9]+(?:_[a-z0-9]+)*\.(cc|h)$/.test(path),
    ),
  ];
  assert.deepEqual(strange, []);
});

test('nothing has a default export', () => {
  assert.ok(typescript.length > 100, `${typescript.length} files`);
  assert.deepEqual(
    typescript.filter((path) => hasDefaultExport(codeOf(readSource(path)))),
    [],
  );
});

test('lib/index.ts is the one barrel', () => {
  assert.deepEqual(
    filesBelow('lib/', /\.ts$/).filter((path) => isBarrel(readSource(path))),
    ['lib/index.ts'],
  );
});

test('these checks find what they look for', () => {
  for (const path of ['lib/utils.ts', 'lib/client/string-utils.ts', 'native/common.h', 'lib/helpers/a.ts']) {
    assert.match(path, NAMELESS);
  }
  for (const path of ['lib/commonality.ts', 'native/useful.cc']) assert.doesNotMatch(path, NAMELESS);
  assert.ok(hasDefaultExport('export default class A {}'));
  assert.ok(hasDefaultExport('const a = 1;\nexport { a as default };'));
  assert.ok(!hasDefaultExport('export const byDefault = 1;'));
  assert.ok(isBarrel("/** All. */\nexport { a } from './a.ts';\nexport type { B } from './b.ts';\n"));
  assert.ok(isBarrel("const a = 1;\nexport * from './a.ts';"));
  assert.ok(!isBarrel("export type { B } from './b.ts';\nexport const b = 1;"));
  assert.ok(!isBarrel('/** Nothing yet. */'));
});

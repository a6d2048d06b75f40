import assert from 'node:assert/strict';
import { test } from 'node:test';
import { filesBelow, ROOT, readSource, SOURCE_FILES } from './source-tree.ts';

interface Gyp {
  readonly targets: readonly { readonly sources: readonly string[] }[];
}

const { sources } = (JSON.parse(readSource('binding.gyp')) as Gyp).targets[0]!;
const { scripts } = JSON.parse(readSource('package.json')) as { scripts: Record<string, string> };

/** @returns what a shell would run: lines without comments, trimmed */
const commandsOf = (script: string) =>
  script
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));

test('binding.gyp compiles every source of the addon, each once', () => {
  assert.ok(sources.length >= 20, `${sources.length} sources`);
  const addon = filesBelow('native/', /\.cc$/).filter((path) => !/^native\/(test|fuzz)\//.test(path));
  assert.deepEqual([...sources].sort(), addon);
});

/** check:asan compares the two again, by what the compiler was given. */
test('CMake compiles what binding.gyp names and knows no source of its own', () => {
  const cmake = readSource('CMakeLists.txt').replace(/#.*$/gm, '');
  assert.match(cmake, /file\(READ "\$\{CMAKE_CURRENT_SOURCE_DIR\}\/binding\.gyp" BINDING\)/);
  assert.match(cmake, /add_library\(keyless_tls MODULE \$\{SOURCES\}\)/);
  assert.doesNotMatch(cmake, /\.cc\b|\bGLOB/);
});

test('both builds define the same macros', () => {
  const names = (text: string) => [...new Set(text.match(/\bN(?:API|ODE)_[A-Z_]+(?:=\d+)?\b/g))].sort();
  const gyp = names(readSource('binding.gyp'));
  const cmake = names(
    /target_compile_definitions\(keyless_tls PRIVATE\n[^)]*/.exec(readSource('CMakeLists.txt'))![0],
  );
  // node-gyp defines the module's name by itself.
  assert.deepEqual(
    cmake.filter((name) => name !== 'NODE_GYP_MODULE_NAME'),
    gyp,
  );
});

test('what lands was tested as the README says', () => {
  assert.match(readSource('README.md'), /^\s*(?:\$ )?(?:npm install && )?npm test\b/m);
  assert.ok(commandsOf(readSource('.ci/run')).some((command) => /^step \d+ npm test$/.test(command)));
});

test('every npm script that is named exists', () => {
  const texts = SOURCE_FILES.filter((path) => /(?:\.md|\.mjs|^\.ci\/run)$/.test(path));
  const named = texts.flatMap((path) =>
    [...readSource(path).matchAll(/\bnpm run ([a-z][a-z:-]*)/g)].map((match) => [path, match[1]!] as const),
  );
  assert.ok(named.length > 3);
  assert.deepEqual(
    named.filter(([, script]) => !Object.hasOwn(scripts, script)),
    [],
  );
});

test('every file that an npm script runs exists', () => {
  const files = Object.values(scripts).flatMap((script) => script.match(/\bscripts\/[\w.-]+/g) ?? []);
  assert.ok(files.length >= 2);
  assert.deepEqual(
    files.filter((path) => !SOURCE_FILES.includes(path)),
    [],
    ROOT,
  );
});

/** What scripts/bundle.mjs makes of dist/lib/: few files where an isolated app starts, and each module once. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const LIB = fileURLToPath(new URL('../../../lib/', import.meta.url));
const read = (path: string) => readFileSync(resolve(LIB, path), 'utf8');

const filesOf = (pattern: RegExp) =>
  readdirSync(LIB, { recursive: true, encoding: 'utf8' }).filter((path) => pattern.test(path));

/** @returns the files that are loaded with one, itself among them */
function loadedWith(path: string, seen = new Set<string>()): string[] {
  if (seen.has(path)) return [];
  seen.add(path);
  const names = [...read(path).matchAll(/^(?:import|export)\b[^;]*?["'](\.[^"']+)["']/gm)];
  const next = names.map(([, name]) => relative(LIB, resolve(LIB, dirname(path), name!)));
  return [path, ...next.flatMap((each) => loadedWith(each, seen))];
}

test('isolate loads one file beside itself at once, and with the first key one more', () => {
  assert.deepEqual(loadedWith('wrap/isolate.js').sort(), ['isolate-chunk.mjs', 'wrap/isolate.js']);
  assert.deepEqual(loadedWith('wrap/move-keys.js').sort(), [
    ...['isolate-chunk.mjs', 'move-keys-chunk.mjs', 'wrap/move-keys.js'],
  ]);
  assert.ok(loadedWith('index.js').length > 20, 'it finds imports');
});

/** Modules have state; `instanceof KeylessError` holds for one class alone. */
test('a module that is in a chunk is nowhere else: its file hands on what is there', () => {
  const chunks = filesOf(/^[^/]*-chunk\.mjs$/);
  assert.equal(chunks.length, 2);
  const modules = chunks.flatMap((chunk) =>
    [...read(chunk).matchAll(/^\/\/ lib\/(.*)\.ts$/gm)].map((match) => match[1]!),
  );
  assert.equal(new Set(modules).size, modules.length);
  assert.ok(modules.length > 40, `${modules.length} modules`);
  assert.ok(modules.includes('errors'));
  for (const module of modules)
    assert.match(
      read(`${module}.js`),
      /^(?:(?:import|export \{[^}]*\} from) "[^"]*-chunk\.mjs";\n)+$/,
      module,
    );
});

test('from wherever an error comes, its class is one', async () => {
  const { KeylessError } = await import('../../../lib/index.js');
  const chunk: object = await import(
    new URL('isolate-chunk.mjs', new URL('../../../lib/', import.meta.url)).href
  );
  assert.ok(Object.values(chunk).includes(KeylessError));
});

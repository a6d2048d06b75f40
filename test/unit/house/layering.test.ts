import assert from 'node:assert/strict';
import { posix } from 'node:path';
import { test } from 'node:test';
import { findBreaches, importsOf } from './layers.ts';
import { filesBelow, readSource } from './source-tree.ts';

const { dependencies, peerDependencies } = JSON.parse(readSource('package.json')) as Record<
  'dependencies' | 'peerDependencies',
  Record<string, string>
>;
const PACKAGES = [...Object.keys(dependencies), ...Object.keys(peerDependencies)];

const lib = new Map(filesBelow('lib/', /\.ts$/).map((path) => [path.slice(4), readSource(path)]));

test('each layer of lib/ imports only what it may', () => {
  assert.deepEqual(findBreaches(lib, PACKAGES), []);
});

test('the checker sees the imports that are there', () => {
  assert.ok(lib.size > 60, 'lib/ was found');
  const edges = [...lib.values()].flatMap(importsOf).filter((name) => name.startsWith('.'));
  assert.ok(edges.length > 150, `${edges.length} imports`);
  const worker = [...lib].filter(([, source]) => source.includes('new Worker('));
  for (const [path, source] of worker) {
    assert.ok(
      importsOf(source).some((name) => name.includes('worker')),
      path,
    );
  }
});

/** @returns the packages that a file of lib/ loads, and what it loads in turn */
function packagesBehind(path: string, seen = new Set<string>()): string[] {
  const source = lib.get(path);
  if (source === undefined || seen.has(path)) return [];
  seen.add(path);
  // What is imported as a type alone is not loaded.
  return importsOf(source.replace(/^import type [^;]*;/gm, '')).flatMap((name) => {
    if (name.startsWith('.')) return packagesBehind(posix.join(posix.dirname(path), name), seen);
    return name.startsWith('node:') ? [] : [name];
  });
}

test('isolate and its key processes load no package: each is paid for at every start of every app', () => {
  const main = [...lib.keys()].find((path) => path.endsWith('/key-process-main.ts'));
  for (const path of ['wrap/isolate.ts', 'wrap/move-keys.ts', main!])
    assert.deepEqual(packagesBehind(path), [], path);
  assert.ok(packagesBehind('wrap/register.ts').includes('zod'), 'it finds packages');
});

/** Each breaks one rule; canaries: a checker that says nothing here would say nothing anywhere. */
const BREACHES: Readonly<Record<string, readonly [path: string, source: string]>> = {
  'errors with an import': ['errors.ts', "import { systemClock } from './clock.ts';"],
  'protocol that knows the client': ['protocol/a.ts', "import { Link } from '../client/link.ts';"],
  'protocol that knows the time': ['protocol/a.ts', "import { systemClock } from '../clock.ts';"],
  'client that knows the server': ['client/a.ts', "import type { Session } from '../server/session.ts';"],
  'client that knows keys': ['client/a.ts', "export * from '../keys/private-key.ts';"],
  'server that knows the client': ['server/a.ts', "import {\n  type A,\n  b,\n} from '../client/link.ts';"],
  'keys that know the engine': ['keys/a.ts', "type T = import('../engine/operation.ts').OperationView;"],
  'engine that knows its faces': ['engine/a.ts', "const { connect } = await import('../tls.ts');"],
  'engine that knows key servers': ['engine/a.ts', "import '../client/link.ts';"],
  'a face that knows the client': ['tls.ts', "import { Link } from './client/link.ts';"],
  'index that knows the command line': ['index.ts', "export { main } from './cli/main.ts';"],
  'server that knows the command line': [
    'server/a.ts',
    "new Worker(new URL('../cli/main.js', import.meta.url))",
  ],
  'the addon of a face': ['tls.ts', "import { addon } from './engine/addon.ts';"],
  'the addon of the command line': ['cli/a.ts', "import { addon } from '../engine/addon.ts';"],
  'a binary outside of engine': ['keys/a.ts', "require(path + '/keyless_tls.node')"],
  'dlopen outside of engine': ['cli/a.ts', 'process.dlopen(module, path)'],
  'files in keys': ['keys/a.ts', "import { readFileSync } from 'node:fs';"],
  'files in the engine': ['engine/hook.ts', "import { readFile } from 'node:fs/promises';"],
  'environment in the client': ['client/a.ts', 'const debug = process.env.DEBUG;'],
  'environment in a keeper': ['keepers/holder-child.ts', 'const { env } = process;'],
  'environment by another name': ['client/a.ts', "import { argv, env } from 'node:process';"],
  'environment taken apart': ['protocol/a.ts', 'const { env } = process;'],
  'an unknown layer': ['utils/a.ts', ''],
  'an undeclared package': ['client/a.ts', "import { WebSocket } from 'ws';"],
  'a test in lib': ['client/a.ts', "import { storm } from '../../test/helpers/storm.ts';"],
};

for (const [name, breach] of Object.entries(BREACHES)) {
  test(`the checker finds ${name}`, () => {
    assert.equal(findBreaches(new Map([breach]), PACKAGES).length, 1);
  });
}

test('the checker allows what the layers are for', () => {
  const sources = new Map([
    [
      'protocol/a.ts',
      "import { KeylessError } from '../errors.ts';\nimport { sha1 } from '@noble/hashes/legacy.js';",
    ],
    [
      'client/a.ts',
      "import { b } from './b.ts';\nimport { c } from '../protocol/c.ts';\nimport tls from 'node:tls';",
    ],
    [
      'keys/a.ts',
      "import { Link } from '../client/link.ts';\n// process.env and import('../engine/hook.ts')",
    ],
    ['engine/binary.ts', "import { existsSync } from 'node:fs';\nconst FILE = 'keyless_tls.node';"],
    ['server/a.ts', "import { readFileSync } from 'node:fs';\nimport { k } from '../signing/key-kind.ts';"],
    ['cli/a.ts', 'const home = process.env.HOME;'],
  ]);
  assert.deepEqual(findBreaches(sources, PACKAGES), []);
});

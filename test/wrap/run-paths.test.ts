/** `keyless-tls run` from a folder with a name that words of NODE_OPTIONS could break on. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const NAMES = ['two words', `"quoted" and 'so'`, 'größe 鍵', '%41 #1 ?x', '--eval=1', '$HOME `id`'];

let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'keyless-tls-run-'));
});
after(() => rmSync(folder, { recursive: true, force: true }));

/** The package, at another place. @returns the command's file */
function install(name: string): string {
  const place = join(folder, name);
  mkdirSync(place);
  for (const part of ['package.json', 'dist/lib', 'build/Release']) {
    cpSync(ROOT + part, join(place, part), {
      recursive: true,
      filter: (path) => !/build\/Release\/(?:obj|\.deps)/.test(path),
    });
  }
  symlinkSync(`${ROOT}node_modules`, join(place, 'node_modules'));
  return join(place, 'dist/lib/cli/main.js');
}

const LOADED = `Object.keys(require.cache).map((path) => path.split(/[\\\\/]/).at(-1)).filter((name) => /isolate/.test(name)).join()`;

for (const name of NAMES) {
  test(`from the folder ${name} it loads what it is to load, in its program and in theirs`, () => {
    const main = install(name);
    const script = `console.log(${LOADED});
      process.argv[1] === 'child' || require('node:child_process').spawnSync(process.execPath,
        ['-e', process.env.SCRIPT, 'child'], { stdio: 'inherit' });`;
    const { stdout, stderr, status } = spawnSync(
      process.execPath,
      [main, 'run', '--isolate', '--', process.execPath, '-e', script],
      { encoding: 'utf8', env: { ...process.env, SCRIPT: script } },
    );
    assert.equal(status, 0, stderr);
    const [own, childs] = stdout.split('\n');
    assert.match(own!, /isolate\.cjs/);
    assert.equal(childs, own);
  });
}

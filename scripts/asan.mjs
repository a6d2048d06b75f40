/**
 * The suite under AddressSanitizer and UndefinedBehaviorSanitizer: `npm run check:asan [part of a test's path ...]`.
 *
 * The sanitized addon stands in a copy of the package, and the runtimes are preloaded into the test processes alone.
 * A canary (an overflow that only sanitized builds contain) proves first that a finding is seen.
 */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { isAbsolute, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { main, need, run } from './commands.mjs';

const root = fileURLToPath(new URL('../', import.meta.url));

/** A prebuilt binary would be loaded instead of the sanitized one. */
const NOT_COPIED = new Set([
  ...['.git', 'build', 'coverage', 'node_modules', 'prebuilds'],
  // These run the compiler and npm, which are not ours to sanitize.
  ...['dist/test/types', 'dist/test/package'],
  // They read all memory of a process, which AddressSanitizer's shadow makes terabytes of.
  'dist/test/teardown/key-memory.test.js',
  'dist/test/teardown/wiped-memory.test.js',
  // It measures memory that was freed, and AddressSanitizer keeps that.
  'dist/test/unit/server/sent-memory.test.js',
  // The process with the keys has an empty environment: the runtime cannot be preloaded into it.
  // test/tls/moved-keys.test.ts has the native part of it.
  'dist/test/wrap',
  'dist/test/apps',
  'dist/test/unit/keepers/isolated-key.test.js',
  'dist/test/unit/keepers/key-process.test.js',
  // They hold what happens to figures of time, which the sanitizers stretch. What they do in the addon, test/tls,
  // test/teardown and test/fleet do as well.
  'dist/test/faults',
  'dist/test/cli',
  // Nothing of theirs comes to the addon but what test/tls, test/teardown and test/unit/server do as well.
  ...['cli', 'client', 'docs', 'house', 'proxy'].map((part) => `dist/test/unit/${part}`),
  ...['cluster', 'key-servers-gone', 'revocation', 'secret-rotation'].map(
    (name) => `dist/test/fleet/${name}.test.js`,
  ),
  'dist/test/helpers/stopwatch.test.js',
]);
/** The proxy is JavaScript between sockets, and its tests are the longest: those stay that meet the addon's part of it. */
const IS_OF_THE_PROXY_ALONE = /^dist\/test\/proxy\/(?!hosts|gone-hosts|key-exchange)/;
const isCopied = (path) => !NOT_COPIED.has(path) && !IS_OF_THE_PROXY_ALONE.test(path);

async function build() {
  const args = ['cmake-js', 'compile', '-O', 'build/asan', '--CDKEYLESS_SANITIZE=ON', '--silent'];
  const built = await run('npx', args, { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] });
  if (!built) throw new Error('The sanitized addon could not be built; see above.');
}

/** What the compiler was given is what binding.gyp names: the gate tests the addon that is released. */
function compareSources() {
  const commands = JSON.parse(readFileSync(join(root, 'build/asan/compile_commands.json'), 'utf8'));
  const compiled = commands.map(({ file }) => relative(root, file)).sort();
  const { sources } = JSON.parse(readFileSync(join(root, 'binding.gyp'), 'utf8')).targets[0];
  if (compiled.join() !== [...sources].sort().join()) {
    throw new Error(`CMake compiled other sources than binding.gyp names: ${compiled.join(', ')}`);
  }
}

function copyPackage(tree) {
  mkdirSync(join(tree, 'build/Release'), { recursive: true });
  copyFileSync(
    join(root, 'build/asan/Release/keyless_tls.node'),
    join(tree, 'build/Release/keyless_tls.node'),
  );
  // The whole checkout: tests of documents, examples and the house read it.
  cpSync(root, tree, { recursive: true, filter: (path) => isCopied(relative(root, path)) });
  symlinkSync(join(root, 'node_modules'), join(tree, 'node_modules'));
}

function runtime(name) {
  const path = execFileSync('g++', [`-print-file-name=${name}`], { encoding: 'utf8' }).trim();
  if (!isAbsolute(path)) throw new Error(`g++ has no ${name}; install the sanitizers that belong to it.`);
  return path;
}

async function sanitized(tree, command, logs) {
  mkdirSync(logs);
  const env = {
    ...process.env,
    LD_PRELOAD: `${runtime('libasan.so')} ${runtime('libubsan.so')}`,
    ASAN_OPTIONS: `log_path=${logs}/asan:detect_leaks=0:detect_stack_use_after_return=0`,
    UBSAN_OPTIONS: `print_stacktrace=1:log_path=${logs}/ubsan`,
  };
  const ok = await run(process.execPath, command, { cwd: tree, env });
  const findings = readdirSync(logs)
    .map((name) => readFileSync(join(logs, name), 'utf8'))
    .filter((text) => /ERROR: AddressSanitizer|runtime error:/.test(text));
  return { ok, findings };
}

async function checkCanaries(tree) {
  const addon = JSON.stringify(join(tree, 'build/Release/keyless_tls.node'));
  for (const kind of ['nothing', 'overflow', 'shift']) {
    const program = `require(${addon}).sanitizerCanary('${kind}')`;
    const { ok } = await sanitized(tree, ['-e', program], join(tree, `canary-${kind}`));
    if (ok === (kind === 'nothing')) continue;
    throw new Error(`The canary "${kind}" ended ${ok ? 'well' : 'badly'}: this gate is broken.`);
  }
}

async function check(tree) {
  await build();
  compareSources();
  copyPackage(tree);
  await checkCanaries(tree);
  const command = ['dist/test/run.js', ...process.argv.slice(2)];
  const { ok, findings } = await sanitized(tree, command, join(tree, 'suite'));
  for (const finding of findings) console.error(finding);
  const passed = ok && findings.length === 0;
  console.log(passed ? 'check:asan passed: both canaries found, the suite clean.' : 'check:asan failed.');
  return passed;
}

await main(async () => {
  if (process.platform !== 'linux')
    throw new Error('check:asan preloads the runtimes of g++, on Linux only.');
  need('g++', 'it compiles the addon and brings the sanitizers');
  need('cmake', 'it configures the sanitized build');
  if (!existsSync(join(root, 'dist/test/run.js')))
    throw new Error('There is no dist/; run "npm run build:ts".');
  const tree = mkdtempSync(join(tmpdir(), 'keyless-tls-asan-'));
  // Tests run as root become another user, who loads the addon.
  chmodSync(tree, 0o755);
  try {
    return await check(tree);
  } finally {
    rmSync(tree, { recursive: true, force: true });
  }
});

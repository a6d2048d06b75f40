/**
 * The suite under AddressSanitizer and UndefinedBehaviorSanitizer: `npm run check:asan [part of a test's path ...]`.
 *
 * The sanitized addon stands in a copy of the package, and the runtimes are preloaded into the test processes alone.
 * A canary (an overflow that only sanitized builds contain) proves first that a finding is seen.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../', import.meta.url));
const NOT_COPIED = new Set(['.git', 'build', 'coverage', 'node_modules']);
const tree = mkdtempSync(join(tmpdir(), 'keyless-tls-asan-'));

function build() {
  execFileSync('npx', ['cmake-js', 'compile', '-O', 'build/asan', '--CDKEYLESS_SANITIZE=ON', '--silent'], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  mkdirSync(join(tree, 'build/Release'), { recursive: true });
  copyFileSync(
    join(root, 'build/asan/Release/keyless_tls.node'),
    join(tree, 'build/Release/keyless_tls.node'),
  );
  // The whole checkout: tests of documents, examples and the house read it.
  cpSync(root, tree, { recursive: true, filter: (path) => !NOT_COPIED.has(relative(root, path)) });
  symlinkSync(join(root, 'node_modules'), join(tree, 'node_modules'));
}

function runtime(name) {
  return execFileSync('g++', [`-print-file-name=${name}`], { encoding: 'utf8' }).trim();
}

function run(command, logs) {
  mkdirSync(logs);
  const env = {
    ...process.env,
    LD_PRELOAD: `${runtime('libasan.so')} ${runtime('libubsan.so')}`,
    ASAN_OPTIONS: `log_path=${logs}/asan:detect_leaks=0:detect_stack_use_after_return=0`,
    UBSAN_OPTIONS: `print_stacktrace=1:log_path=${logs}/ubsan`,
  };
  const { status, signal } = spawnSync(process.execPath, command, { cwd: tree, env, stdio: 'inherit' });
  const findings = readdirSync(logs)
    .map((name) => readFileSync(join(logs, name), 'utf8'))
    .filter((text) => /ERROR: AddressSanitizer|runtime error:/.test(text));
  return { ok: status === 0 && signal === null, findings };
}

const addon = JSON.stringify(join(tree, 'build/Release/keyless_tls.node'));
let failed = false;
try {
  build();
  for (const kind of ['nothing', 'overflow', 'shift']) {
    const { ok } = run(['-e', `require(${addon}).sanitizerCanary('${kind}')`], join(tree, `canary-${kind}`));
    if (ok !== (kind === 'nothing'))
      throw new Error(`The canary "${kind}" ended ${ok ? 'well' : 'badly'}: this gate is broken.`);
  }
  const suite = run(['dist/test/run.js', ...process.argv.slice(2)], join(tree, 'suite'));
  for (const finding of suite.findings) console.error(finding);
  failed = !suite.ok || suite.findings.length > 0;
  console.log(failed ? 'check:asan failed.' : 'check:asan passed: both canaries found, the suite clean.');
} finally {
  rmSync(tree, { recursive: true, force: true });
}
process.exit(failed ? 1 : 0);

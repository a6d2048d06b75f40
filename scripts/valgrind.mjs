/**
 * Handshakes under valgrind's memcheck: `npm run check:valgrind`. It sees what AddressSanitizer does not: reads of memory
 * that was never written, and leaks; and OpenSSL's own code, on the stacks of its jobs, as Node.js carries it.
 *
 * Node.js itself is not judged, but for what no program may do: its frames are in every stack, ours need not be when
 * OpenSSL uses what we freed. A canary proves first that a finding is seen.
 */
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { main, need, run } from './commands.mjs';

const root = fileURLToPath(new URL('../', import.meta.url));
const ADDON = 'keyless_tls.node';

const MEMCHECK = [
  // V8 writes machine code into memory that it has already run.
  '--smc-check=all-non-file',
  '--error-limit=no',
  '--leak-check=full',
  '--num-callers=40',
  '--xml=yes',
];

/** Not "possibly": V8 keeps pointers into the middle of what it allocates. */
const LEAKS = new Set(['Leak_DefinitelyLost', 'Leak_IndirectlyLost']);
/** Nobody's to do, wherever they were found. */
const FORBIDDEN = /^(?:Invalid|Mismatched|Overlap)/;

async function build(tree) {
  const args = ['cmake-js', 'compile', '-O', 'build/valgrind', '--CDKEYLESS_CANARY=ON', '--silent'];
  const built = await run('npx', args, { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] });
  if (!built) throw new Error('The addon could not be built; see above.');
  mkdirSync(join(tree, 'build/Release'), { recursive: true });
  copyFileSync(join(root, 'build/valgrind/Release', ADDON), join(tree, 'build/Release', ADDON));
  for (const part of ['dist/lib', 'scripts', 'package.json']) {
    cpSync(join(root, part), join(tree, part), { recursive: true });
  }
  symlinkSync(join(root, 'node_modules'), join(tree, 'node_modules'));
}

async function makeCertificates(folder) {
  const helper = pathToFileURL(join(root, 'dist/test/helpers/certificates.js'));
  const authority = await (await import(helper)).makeAuthority();
  mkdirSync(folder);
  writeFileSync(join(folder, 'ca.crt'), authority.certPem);
  for (const type of ['rsa', 'p256']) {
    const { certPem, keyPem } = await authority.issue({ type });
    writeFileSync(join(folder, `${type}.crt`), certPem);
    writeFileSync(join(folder, `${type}.key`), keyPem, { mode: 0o600 });
  }
}

/** @param error one `<error>` of valgrind's report */
function isOurs(error) {
  const [, kind] = /<kind>(\w+)<\/kind>/.exec(error);
  if (kind.startsWith('Leak_')) return LEAKS.has(kind) && error.includes(ADDON);
  return FORBIDDEN.test(kind) || error.includes(ADDON);
}

/** A report for people: what, and the functions of each stack. */
function describe(error) {
  const text = (xml) => xml.replace(/&lt;/g, '<').replace(/&gt;/g, '>').replace(/&amp;/g, '&');
  const lines = [...error.matchAll(/<(?:text|what|auxwhat)>([^<]*)<|<frame>([\s\S]*?)<\/frame>/g)];
  return lines
    .map(([, what, frame]) => {
      if (frame === undefined) return text(what);
      const of = (name) => new RegExp(`<${name}>([^<]*)<`).exec(frame)?.[1];
      const place = of('file') === undefined ? of('obj') : `${of('file')}:${of('line')}`;
      return `    ${text(of('fn') ?? '?')} (${place ?? '?'})`;
    })
    .join('\n');
}

async function underValgrind(tree, name, command) {
  const report = join(tree, `${name}.xml`);
  const values = [...MEMCHECK, `--xml-file=${report}`, process.execPath, ...command];
  const ok = await run('valgrind', values, { cwd: tree });
  const xml = readFileSync(report, 'utf8');
  if (!xml.trimEnd().endsWith('</valgrindoutput>'))
    throw new Error(`valgrind did not finish its report of ${name}.`);
  const errors = xml.match(/<error>[\s\S]*?<\/error>/g) ?? [];
  return { ok, all: errors.length, findings: errors.filter(isOurs) };
}

/** The same addon, once behaving and once not. */
async function checkCanary(tree) {
  const addon = JSON.stringify(join(tree, 'build/Release', ADDON));
  for (const [kind, expected] of [
    ['nothing', 0],
    ['overflow', 1],
  ]) {
    const program = `require(${addon}).sanitizerCanary('${kind}')`;
    const { ok, findings } = await underValgrind(tree, `canary-${kind}`, ['-e', program]);
    if (ok && findings.length === expected && findings.every((error) => error.includes(ADDON))) continue;
    throw new Error(
      `The canary "${kind}" made ${findings.length} findings, not ${expected}: this gate is broken.`,
    );
  }
}

async function check(tree) {
  await Promise.all([build(tree), makeCertificates(join(tree, 'certificates'))]);
  await checkCanary(tree);
  const command = ['scripts/valgrind-handshakes.mjs', join(tree, 'certificates')];
  const { ok, all, findings } = await underValgrind(tree, 'handshakes', command);
  for (const finding of findings) console.error(`${describe(finding)}\n`);
  const passed = ok && findings.length === 0;
  const others = `${all - findings.length} remarks on others`;
  console.log(
    passed
      ? `check:valgrind passed: the canary found, the handshakes clean (${others}).`
      : 'check:valgrind failed.',
  );
  return passed;
}

await main(async () => {
  if (process.platform !== 'linux') throw new Error('check:valgrind is for Linux.');
  need('valgrind', 'it watches the memory of the handshakes');
  need('g++', 'it compiles the addon with its canary');
  need('cmake', 'it configures that build');
  if (!existsSync(join(root, 'dist/test/run.js')))
    throw new Error('There is no dist/; run "npm run build:ts".');
  const tree = mkdtempSync(join(tmpdir(), 'keyless-tls-valgrind-'));
  try {
    return await check(tree);
  } finally {
    rmSync(tree, { recursive: true, force: true });
  }
});

/** What a process with keys has of the rights of the app that started it: nothing. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

const HARDENING = new URL('../../../lib/engine/hardening.js', import.meta.url);
const CHILD_PROGRAM = new URL('../../../lib/engine/child-program.js', import.meta.url);
const asRoot = { skip: process.getuid?.() === 0 ? false : 'needs root' };

/** @returns what it has printed */
function run(source: string, before: readonly string[] = []): string {
  const [program, ...args] = [...before, process.execPath, '--input-type=module', '-e', source];
  const { stdout, stderr } = spawnSync(program!, args, { encoding: 'utf8' });
  assert.equal(stderr, '');
  return stdout;
}

/** Opened before, as nothing is afterwards. */
const HARDENED_ASIDE = `
  import { openSync, readSync, writeSync } from 'node:fs';
  import { hardenProcess } from ${JSON.stringify(HARDENING.href)};
  const status = openSync('/proc/self/status');
  process.seteuid(1000);
  const { noPrivileges } = hardenProcess();
  const text = Buffer.alloc(8192);
  writeSync(1, noPrivileges + '\\n' + text.subarray(0, readSync(status, text)));`;

test('root that the app has put aside, and could take up again, is given up', asRoot, () => {
  const printed = run(HARDENED_ASIDE);
  assert.match(printed, /^true\n/);
  assert.match(printed, /^Uid:(?:\t65534){4}$/m);
  assert.match(printed, /^Gid:(?:\t65534){4}$/m);
  assert.match(printed, /^CapPrm:\t0+$/m);
});

test('where it cannot be given up, it stays put aside, and that is said', asRoot, () => {
  const printed = run(HARDENED_ASIDE, ['setpriv', '--bounding-set=-setgid', '--inh-caps=-setgid']);
  assert.match(printed, /^false\n/);
  assert.match(printed, /^Uid:\t0\t1000\t0\t1000$/m);
  assert.match(printed, /^CapEff:\t0+$/m);
});

const SETCAP = '/usr/sbin/setcap';
const asRootWithSetcap = existsSync(SETCAP) ? asRoot : { skip: `needs ${SETCAP}` };

test(
  'capabilities of the file of a program, as of a Node.js that may listen on port 443, are not given',
  asRootWithSetcap,
  (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'keyless-tls-capable-'));
    t.after(() => rmSync(folder, { recursive: true }));
    chmodSync(folder, 0o755);
    const program = join(folder, 'sleep');
    copyFileSync('/bin/sleep', program);
    execFileSync(SETCAP, ['cap_net_bind_service=ep', program]);
    const printed = run(`
    import { spawn } from 'node:child_process';
    import { readFileSync } from 'node:fs';
    import { ChildProgram } from ${JSON.stringify(CHILD_PROGRAM.href)};
    import { childrenOf } from ${JSON.stringify(new URL('../../helpers/child-processes.js', import.meta.url).href)};
    process.setuid(1000);
    const permitted = (pid) => /^CapPrm:\\t0*(.*)$/m.exec(readFileSync('/proc/' + pid + '/status', 'utf8'))[1];
    const natively = spawn(${JSON.stringify(program)}, ['1000']);
    const ofFile = permitted(natively.pid);
    const program = new ChildProgram(${JSON.stringify(program)}, ['1000'], {});
    const [child] = childrenOf(process.pid).filter((pid) => pid !== natively.pid);
    console.log(ofFile, [permitted(child)]);
    natively.kill();
    program.end(() => undefined);`);
    assert.equal(printed, "400 [ '' ]\n");
  },
);

test('capabilities that the app hands on to all that it starts are not handed on', asRoot, () => {
  const capabilities = ['--inh-caps', '+net_bind_service', '--ambient-caps', '+net_bind_service'];
  const printed = run(
    `
    import { readFileSync } from 'node:fs';
    import { ChildProgram } from ${JSON.stringify(CHILD_PROGRAM.href)};
    import { childrenOf } from ${JSON.stringify(new URL('../../helpers/child-processes.js', import.meta.url).href)};
    const program = new ChildProgram('/bin/sleep', ['1000'], {});
    const ambient = (pid) => /^CapAmb:\\t0*(.*)$/m.exec(readFileSync('/proc/' + pid + '/status', 'utf8'))[1];
    console.log(ambient(process.pid), childrenOf(process.pid).map(ambient));
    program.end(() => undefined);`,
    ['setpriv', ...capabilities],
  );
  assert.equal(printed, "400 [ '' ]\n");
});

/** Reports of neighbouring versions can be told apart, wherever the package is, and without git. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { hashOf, thisCode } from '../../../../lib/cli/bench/code.ts';
import { thisMachine } from '../../../../lib/cli/bench/machine.ts';
import { aboutMachine } from '../../../../lib/cli/bench/report.ts';
import { findBinary } from '../../../../lib/engine/binary.ts';
import { reportWith } from '../../../helpers/bench.ts';

const folder = mkdtempSync(join(tmpdir(), 'keyless-tls-code-'));
after(() => rmSync(folder, { recursive: true }));

test('a hash is of every file of code and its name, and of nothing else', () => {
  const one = join(folder, 'one');
  mkdirSync(join(one, 'deep'), { recursive: true });
  writeFileSync(join(one, 'a.js'), 'first');
  writeFileSync(join(one, 'deep', 'b.cjs'), 'second');
  const other = join(folder, 'other');
  const changed = (change: () => void) => {
    rmSync(other, { recursive: true, force: true });
    cpSync(one, other, { recursive: true });
    change();
    return hashOf(other) !== hashOf(one);
  };
  const inOther = (name: string) => join(other, name);
  assert.equal(
    changed(() => undefined),
    false,
  );
  for (const name of ['a.d.ts', 'a.js.map', 'notes.md'])
    assert.equal(
      changed(() => writeFileSync(inOther(name), 'x')),
      false,
      name,
    );
  assert.ok(changed(() => writeFileSync(inOther('deep/b.cjs'), 'Second')));
  assert.ok(changed(() => writeFileSync(inOther('c.mjs'), '')));
  assert.ok(changed(() => renameSync(inOther('a.js'), inOther('deep/a.js'))));
  // What one file loses at its end is not made up for by the next.
  writeFileSync(join(one, 'b.js'), 'next');
  assert.ok(
    changed(() => {
      writeFileSync(inOther('a.js'), 'firs');
      writeFileSync(inOther('b.js'), 'tnext');
    }),
  );
});

test('a report has the hash of the code that runs, in JSON and in words', () => {
  const code = thisCode();
  assert.equal(code.javascript, hashOf(fileURLToPath(new URL('../../../../lib/', import.meta.url))));
  const binary = createHash('sha256').update(readFileSync(findBinary()!)).digest('hex');
  assert.equal(code.addon, binary);
  const machine = thisMachine();
  assert.deepEqual(machine.code, code);
  const text = aboutMachine(reportWith([], machine));
  assert.ok(text.includes(`keyless-tls ${machine.version} (code ${code.javascript.slice(0, 12)}), `), text);
});

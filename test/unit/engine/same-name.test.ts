import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { isSameName } from '../../../lib/engine/same-name.ts';

const UTF8 = 0x0c;
const PRINTABLE = 0x13;

function der(tag: number, ...content: readonly Buffer[]): Buffer {
  const all = Buffer.concat(content);
  return Buffer.concat([Buffer.of(tag, all.length), all]);
}

/** A name of one part: CN. */
function name(text: string, type = UTF8): Buffer {
  const commonName = Buffer.from('0603550403', 'hex');
  return der(0x30, der(0x31, der(0x30, commonName, der(type, Buffer.from(text)))));
}

test('neither the type of string counts, nor the case, nor spaces', () => {
  for (const other of [name('edge ca'), name('Edge CA', PRINTABLE), name(' Edge  CA ')]) {
    assert.equal(isSameName(name('Edge CA'), other), true, other.toString('hex'));
  }
});

test('another name is another one, and what is no name is nobody’s', () => {
  const whole = name('Edge CA');
  const twice = der(0x30, whole.subarray(2), whole.subarray(2));
  for (const other of [name('Edge CB'), name('EdgeCA'), twice, Buffer.concat([whole, Buffer.of(0)])]) {
    assert.equal(isSameName(whole, other), false, other.toString('hex'));
    assert.equal(isSameName(other, whole), false, other.toString('hex'));
  }
  for (let bytes = 0; bytes < whole.length; bytes += 1) {
    const cut = whole.subarray(0, bytes);
    assert.equal(isSameName(cut, cut), false, `${bytes} bytes`);
  }
});

test('without the addon it answers no, and does not fail', () => {
  const url = new URL('../../../lib/engine/same-name.js', import.meta.url);
  const [one, other] = [name('Edge CA'), name('edge ca')].map(
    (each) => `Buffer.from('${each.toString('hex')}', 'hex')`,
  );
  const code = `import { isSameName } from '${url}'; console.log(isSameName(${one}, ${other}));`;
  const { stdout, stderr } = spawnSync(
    process.execPath,
    ['--no-addons', '--input-type=module', '--eval', code],
    { encoding: 'utf8' },
  );
  assert.deepEqual([stdout, stderr], ['false\n', '']);
});

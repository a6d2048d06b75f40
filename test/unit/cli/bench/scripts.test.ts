/** The scripts of bench/ refuse what they do not know, and say what they do. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { run } from '../../../helpers/programs.ts';

const BENCH = fileURLToPath(new URL('../../../../bench/', import.meta.url));

for (const [script, word] of [
  ['gate', '--foo'],
  ['gate', 'foo'],
  ['parts', 'FOO'],
  ['profile', 'P-255'],
  ['handshake', 'abc'],
  ['handshake', '0'],
  ['handshake', '1e99'],
  ['handshake', '1000001'],
  ['overhead', '1.5'],
  ['startup', '--rounds=x'],
  ['keyserver', '-1'],
  ['proxy', 'x'],
] as const) {
  test(`bench:${script} ${word}`, async () => {
    const { code, stdout, stderr } = await run(process.execPath, [join(BENCH, `${script}.js`), word]);
    assert.deepEqual([code, stdout], [2, ''], stderr);
    assert.match(stderr, new RegExp(`\\nTry: npm run bench:${script}`));
    assert.doesNotMatch(stderr, /^\s+at /m);
  });
}

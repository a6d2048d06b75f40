/** Files that are replaced together. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { replaceFiles } from '../../../lib/cli/replaced-file.ts';

test('a key stays what it was where its certificate cannot be written, and nothing is left beside it', (context) => {
  const directory = mkdtempSync(join(tmpdir(), 'keyless-tls-replaced-'));
  context.after(() => rmSync(directory, { recursive: true }));
  const [key, certificate] = [join(directory, 'edge.key'), join(directory, 'edge.crt')];
  writeFileSync(key, 'old');
  const nowhere = join(directory, 'missing', 'edge.crt');
  const halfway = () =>
    replaceFiles([
      [key, 'new'],
      [nowhere, 'new'],
    ]);
  assert.throws(halfway, { code: 'ENOENT' });
  assert.equal(readFileSync(key, 'utf8'), 'old');
  assert.deepEqual(readdirSync(directory), ['edge.key']);
  replaceFiles([
    [key, 'new'],
    [certificate, 'new'],
  ]);
  assert.deepEqual(readdirSync(directory), ['edge.crt', 'edge.key']);
  assert.equal(readFileSync(key, 'utf8'), 'new');
});

/** What a process that holds keys closes of its app's. */
import assert from 'node:assert/strict';
import { closeSync, fstatSync, openSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { closeDescriptors } from '../../../lib/keepers/descriptors.ts';

const open = () => openSync(fileURLToPath(import.meta.url), 'r');

test('what was inherited is closed; what another file has the number of, and what is gone, is left alone', () => {
  const [inherited, own, gone] = [open(), open(), open()];
  const { ino } = fstatSync(own);
  closeSync(gone);
  closeDescriptors([`${inherited}:${ino}`, `${own}:${ino + 1}`, `${gone}:${ino}`, 'nonsense']);
  assert.throws(() => fstatSync(inherited), { code: 'EBADF' });
  assert.equal(fstatSync(own).ino, ino);
  closeSync(own);
});

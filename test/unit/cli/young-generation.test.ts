import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';

const MODULE = new URL('../../../lib/cli/young-generation.js', import.meta.url).href;
/** Makes objects of which many live for a while, as under load; prints what V8 has for young ones then, in bytes. */
const UNDER_LOAD = `
  let kept = [];
  for (let at = 0; at < 4_000_000; at += 1) {
    kept.push({ at, also: [at] });
    if (kept.length > 60_000) kept = [];
  }
  const spaces = (await import('node:v8')).getHeapSpaceStatistics();
  console.log(spaces.find(({ space_name }) => space_name === 'new_space').space_size);
`;

function sizeUnderLoad(before: string): number {
  const args = ['--input-type=module', '--eval', before + UNDER_LOAD];
  return Number(execFileSync(process.execPath, args, { encoding: 'utf8' }));
}

test('the memory for young objects stays as large as it is', () => {
  const grown = sizeUnderLoad('');
  const kept = sizeUnderLoad(`(await import('${MODULE}')).keepYoungGeneration();`);
  assert.ok(grown > 16_000_000, `it would grow: ${grown}`);
  assert.ok(kept < 8_000_000, `${kept}`);
});
